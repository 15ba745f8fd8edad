// Which variants this process makes, so that no other one with the same catalog makes them too.
#pragma once

#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/stores.h"

#include <cstdint>
#include <set>
#include <string>

namespace tidepool::serve {

// A claim is renewed for as long as it is held; those of a process that died run out after some
// seconds. Where there is no catalog, or it cannot be asked, every claim is granted: then a variant
// may be made twice, and both are the same. Loop thread only.
class VariantClaims {
  public:
    // `stores` outlives it.
    VariantClaims(loop::Loop& loop, Stores& stores);

    // False: another process is at it.
    loop::Task<bool> take(std::string key);
    loop::Task<> let_go(std::string key);

  private:
    static loop::Task<> renew(VariantClaims& self);
    loop::Task<bool> ask(const std::string& key);
    loop::Task<> release(const std::string& key);

    loop::Loop& loop_;
    Stores& stores_;
    const std::string owner_;
    std::set<std::string> held_;
    bool renewing_ = false;
    loop::Loop::Delay* pause_ = nullptr;
};

}  // namespace tidepool::serve
