// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/method.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/wire/handshake.h"

namespace berth::daemon {
namespace {

bool Fits(ParamType type, const json& value) {
  switch (type) {
    case ParamType::kString:
      return value.is_string();
    case ParamType::kCount:
      return value.is_number_integer() && value >= 0;
    case ParamType::kFlag:
      return value.is_boolean();
    case ParamType::kStrings:
      return value.is_array() &&
             std::ranges::all_of(value, [](const json& each) { return each.is_string(); });
    case ParamType::kObject:
      return value.is_object();
  }
  return false;
}

std::string_view TypeName(ParamType type) {
  switch (type) {
    case ParamType::kString:
      return "a string";
    case ParamType::kCount:
      return "a whole number, not negative";
    case ParamType::kFlag:
      return "true or false";
    case ParamType::kStrings:
      return "an array of strings";
    case ParamType::kObject:
      return "an object";
  }
  return "";
}

json Schema(ParamType type) {
  switch (type) {
    case ParamType::kString:
      return {{"type", "string"}};
    case ParamType::kCount:
      return {{"type", "integer"}, {"minimum", 0}};
    case ParamType::kFlag:
      return {{"type", "boolean"}};
    case ParamType::kStrings:
      return {{"type", "array"}, {"items", {{"type", "string"}}}};
    case ParamType::kObject:
      return {{"type", "object"}};
  }
  return {};
}

}  // namespace

std::string Caller::Text() const { return fmt::format("uid {}, pid {}", uid, pid); }

const Method* FindMethod(std::string_view name) {
  const auto all = Methods();
  const auto found = std::ranges::find(all, name, &Method::name);
  return found != all.end() ? &*found : nullptr;
}

std::expected<json, RpcError> CheckParams(const Method& method, const json& params) {
  json named = json::object();
  std::string mistakes;
  const auto mistake = [&](std::string_view name, std::string_view what) {
    if (!mistakes.empty()) mistakes += "; ";
    mistakes += fmt::format("{}: {}", name, what);
  };
  if (params.is_array()) {
    for (size_t i = 0; i < params.size(); ++i) {
      if (i < method.params.size()) {
        named[std::string(method.params[i].name)] = params[i];
      } else {
        mistake(fmt::format("params[{}]", i),
                "there are only " + std::to_string(method.params.size()));
      }
    }
  } else {
    named = params;
  }
  for (const auto& [name, value] : named.items()) {
    const auto known = std::ranges::find(method.params, name, &Param::name);
    if (known == method.params.end()) {
      mistake(name, "no such parameter");
    } else if (!Fits(known->type, value)) {
      mistake(name, TypeName(known->type));
    }
  }
  for (const Param& param : method.params) {
    if (param.required && !named.contains(param.name)) mistake(param.name, "is missing");
  }
  if (mistakes.empty()) return named;
  return std::unexpected(RpcError{kInvalidParams,
                                  fmt::format("{}: {}", method.name, mistakes),
                                  {{"step", "params"}, {"detail", mistakes}}});
}

json Discover(std::span<const Method> methods) {
  json list = json::array();
  for (const Method& method : methods) {
    json params = json::array();
    for (const Param& param : method.params) {
      params.push_back({{"name", param.name},
                        {"description", param.meaning},
                        {"required", param.required},
                        {"schema", Schema(param.type)}});
    }
    list.push_back({{"name", method.name},
                    {"summary", method.summary},
                    {"paramStructure", "either"},
                    {"params", std::move(params)},
                    {"result",
                     {{"name", method.result_name},
                      {"description", method.result},
                      {"schema", json::object()}}}});
  }
  json errors = json::object();
  for (const KindInfo& info : kKindInfo) {
    errors[std::string(info.name)] = {{"code", info.rpc_code}, {"message", info.meaning}};
  }
  return {{"openrpc", "1.2.6"},
          {"info", {{"title", "Berth"}, {"version", wire::BuildId()}}},
          {"methods", std::move(list)},
          {"components", {{"errors", std::move(errors)}}}};
}

std::string RenderMethods(std::span<const Method> methods) {
  std::string out;
  for (const Method& method : methods) {
    out += fmt::format("### {}\n\n{}\n\n", method.name, method.summary);
    if (!method.params.empty()) {
      out += "| parameter | is | |\n|---|---|---|\n";
      for (const Param& param : method.params) {
        out +=
            fmt::format("| `{}`{} | {} | {} |\n", param.name, param.required ? "" : " (optional)",
                        TypeName(param.type), param.meaning);
      }
      out += "\n";
    }
    out += fmt::format("Answers `{}`: {}\n\n", method.result_name, method.result);
  }
  return out;
}

}  // namespace berth::daemon
