// SPDX-License-Identifier: Apache-2.0
#include "init/config_services.h"

#include <algorithm>
#include <optional>

namespace berth::init {
namespace {

// One name in a list of `after` or `requires`.
struct Edge {
  size_t to;
  std::string_view list;
  const ConfigNode* node;
};

class ServiceGraph {
 public:
  ServiceGraph(ConfigReader& reader, const ConfigNode& table, std::vector<ServiceConfig>& services)
      : reader_(reader), services_(services), edges_(services.size()), state_(services.size()) {
    for (const ServiceConfig& service : services_) {
      names_.push_back(service.name);
      nodes_.push_back(table.Find(service.name));
    }
  }

  void Check() {
    CheckMain();
    CheckSockets();
    for (size_t i = 0; i < services_.size(); ++i) {
      AddEdges(i, "after");
      AddEdges(i, "requires");
    }
    for (size_t i = 0; i < services_.size(); ++i) Visit(i);
    std::vector<ServiceConfig> ordered;
    ordered.reserve(services_.size());
    for (const size_t i : order_) ordered.push_back(std::move(services_[i]));
    services_ = std::move(ordered);
  }

 private:
  void Mark(size_t service, size_t before) {
    if (reader_.mistakes() == before || !services_[service].mistake.empty()) return;
    services_[service].mistake = reader_.Line(before);
  }

  // Says it at `service.NAME.KEY`.
  void Mistake(size_t service, std::string_view key, const ConfigPlace& place,
               std::string_view text) {
    const size_t before = reader_.mistakes();
    {
      const ConfigReader::Path root(reader_, "service");
      const ConfigReader::Path name(reader_, names_[service]);
      const ConfigReader::Path path(reader_, key);
      reader_.Mistake(place, text);
    }
    Mark(service, before);
  }

  void CheckMain() {
    std::optional<size_t> first;
    for (size_t i = 0; i < services_.size(); ++i) {
      if (!services_[i].main) continue;
      if (first) {
        Mistake(i, "main", nodes_[i]->Find("main")->key_place,
                "\"" + names_[*first] + "\" is the main service already");
      } else {
        first = i;
      }
    }
  }

  void CheckSockets() {
    std::vector<std::pair<std::string_view, size_t>> seen;
    for (size_t i = 0; i < services_.size(); ++i) {
      const ConfigNode* sockets = nodes_[i]->Find("sockets");
      if (sockets == nullptr) continue;
      for (const ConfigNode& socket : sockets->items) {
        const ConfigNode* listen = socket.Find("listen");
        if (listen == nullptr || listen->kind != kStringNode) continue;
        const auto other = std::ranges::find(seen, std::string_view(listen->text),
                                             &std::pair<std::string_view, size_t>::first);
        if (other == seen.end()) {
          seen.emplace_back(listen->text, i);
        } else {
          Mistake(i, "sockets", listen->place,
                  Quoted(listen->text) + " is taken by \"" + names_[other->second] + "\" already");
        }
      }
    }
  }

  void AddEdges(size_t service, std::string_view list) {
    const ConfigNode* node = nodes_[service]->Find(list);
    if (node == nullptr) return;
    const std::span items =
        node->kind == kArrayNode ? std::span(node->items) : std::span(node, size_t{1});
    for (const ConfigNode& item : items) {
      if (item.kind != kStringNode || !IsName(item.text)) continue;  // said already
      const auto found = std::ranges::find(names_, item.text);
      if (found != names_.end()) {
        edges_[service].push_back({static_cast<size_t>(found - names_.begin()), list, &item});
      } else if (!reader_.tree().lost_section) {  // else it may be the one that was lost
        const std::vector<std::string_view> names(names_.begin(), names_.end());
        Mistake(service, list, item.place,
                "there is no service " + Quoted(item.text) + DidYouMean(item.text, names));
      }
    }
  }

  // Depth first; kMaxServices bounds the depth.
  void Visit(size_t service) {
    if (state_[service] != kNew) return;
    state_[service] = kOpen;
    path_.push_back(service);
    for (const Edge& edge : edges_[service]) {
      if (state_[edge.to] == kOpen) {
        SayCycle(service, edge);
      } else {
        Visit(edge.to);
      }
    }
    path_.pop_back();
    state_[service] = kDone;
    order_.push_back(service);
  }

  void SayCycle(size_t service, const Edge& edge) {
    const auto begin = std::ranges::find(path_, edge.to);
    std::string cycle;
    for (auto at = begin; at != path_.end(); ++at) cycle += names_[*at] + " -> ";
    cycle += names_[edge.to];
    const size_t before = reader_.mistakes();
    Mistake(service, edge.list, edge.node->place, "a cycle: " + cycle);
    for (auto at = begin; at != path_.end(); ++at) Mark(*at, before);
  }

  enum State : uint8_t { kNew, kOpen, kDone };

  ConfigReader& reader_;
  std::vector<ServiceConfig>& services_;
  std::vector<std::string> names_;
  std::vector<const ConfigNode*> nodes_;
  std::vector<std::vector<Edge>> edges_;
  std::vector<State> state_;
  std::vector<size_t> path_;
  std::vector<size_t> order_;
};

}  // namespace

void CheckServices(ConfigReader& reader, const ConfigNode* node,
                   std::vector<ServiceConfig>& services) {
  if (node != nullptr && !services.empty()) ServiceGraph(reader, *node, services).Check();
}

}  // namespace berth::init
