// Writes HCL, the language of Terraform's files (HCL native syntax, hcl/hclsyntax/spec.md). Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace tidepool::edge {

using HclJson = nlohmann::ordered_json;

// What stands for the place of a secret (zone_secrets.h) in a quoted template, such as
// "${var.name}"; it is not escaped.
using HclFill = std::function<std::string(std::string_view name)>;

// A quoted template that means exactly this text: no interpolation but that of `fill`.
std::string hcl_string(std::string_view text, const HclFill& fill = {});

// A value: objects with "=", each member on a line of its own; lists; null. `depth`: how far its
// lines are indented, in steps of two blanks; the first one is not.
std::string hcl_value(const HclJson& value, int depth = 0, const HclFill& fill = {});

// TYPE "LABEL" "LABEL" { ... } with the members of `attributes`, which is an object. One that is
// {"$expression": TEXT} is an expression and not a value.
std::string hcl_block(std::string_view type, const std::vector<std::string>& labels,
                      const HclJson& attributes, const HclFill& fill = {});

// A name for a resource or variable: letters, digits and "_", no digit first.
std::string hcl_name(std::string_view text);

}  // namespace tidepool::edge
