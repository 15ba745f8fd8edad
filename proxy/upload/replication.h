// PUT /api/internal/replicate: another node brings a file for a pool of this one (contracts:
// pixelfox.md, Upload API).
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/http/handler.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/upload/intake.h"

namespace tidepool::upload {

// Takes the file, whose fields must come before it, and puts it where they say once all of it is
// here and is what they say. On the loop of the request; what blocks is done by the pool's threads
// for uploads. All but the request outlive it.
loop::Task<api::ApiAnswer> replicate(Intake& intake, loop::Loop& loop,
                                     const http::RequestHead& head, http::BodyStream& body);

}  // namespace tidepool::upload
