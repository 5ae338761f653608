// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace berth::bench {
namespace {

double Judged(const Row& row) { return row.floor ? row.value / *row.floor : row.value; }

bool Met(const Row& row) {
  return row.target->at_most ? Judged(row) <= row.target->bound : Judged(row) >= row.target->bound;
}

std::string TargetText(const Row& row) {
  if (!row.target) return "";
  return fmt::format("{} {:g}{} {}", row.target->at_most ? "≤" : "≥", row.target->bound,
                     row.floor ? "×" : "", Met(row) ? "met" : "MISSED");
}

}  // namespace

double Percentile(std::vector<double> samples, double fraction) {
  if (samples.empty()) return std::nan("");
  const auto rank =
      static_cast<size_t>(std::lround(fraction * static_cast<double>(samples.size() - 1)));
  std::ranges::nth_element(samples, samples.begin() + static_cast<std::ptrdiff_t>(rank));
  return samples[rank];
}

double Median(std::vector<double> samples) { return Percentile(std::move(samples), 0.5); }

std::string ToTable(const std::vector<Row>& rows) {
  std::string table = fmt::format("| {:<44} | {:>14} | {:>14} | {:>7} | {:<15} |\n", "what",
                                  "value", "floor", "ratio", "target");
  table += fmt::format("|{:-<46}|{:->15}:|{:->15}:|{:->8}:|{:-<17}|\n", "", "", "", "", "");
  for (const Row& row : rows) {
    table += fmt::format("| {:<44} | {:>14} | {:>14} | {:>7} | {:<15} |\n", row.name,
                         fmt::format("{:.4g} {}", row.value, row.unit),
                         row.floor ? fmt::format("{:.4g} {}", *row.floor, row.unit) : "",
                         row.floor ? fmt::format("{:.2f}×", Judged(row)) : "", TargetText(row));
  }
  for (const Row& row : rows) {
    if (!row.note.empty()) table += fmt::format("\n- {}: {}", row.name, row.note);
  }
  return table + "\n";
}

std::string ToJsonText(const std::vector<Row>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows) {
    nlohmann::json each = {{"name", row.name}, {"value", row.value}, {"unit", row.unit}};
    if (row.floor) each["floor"] = *row.floor;
    if (row.floor) each["ratio"] = Judged(row);
    if (row.target) {
      each["target"] = {{row.target->at_most ? "at_most" : "at_least", row.target->bound},
                        {"met", Met(row)}};
    }
    if (!row.note.empty()) each["note"] = row.note;
    list.push_back(std::move(each));
  }
  return nlohmann::json{{"rows", std::move(list)}}.dump(2) + "\n";
}

}  // namespace berth::bench
