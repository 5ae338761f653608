// SPDX-License-Identifier: Apache-2.0
//
// compute.vm.logs, with records that the test puts into the store itself.
#include "protocol/wire/limits.h"
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

using testing::ElementsAre;

class LogsServerTest : public ServerTest {
 protected:
  // Keeps lines of the source "web", with these texts, behind those that are there.
  void Log(const std::vector<std::string>& texts, const std::string& vm = "vm") {
    std::string records;
    if (seq_ == 0) logs::AddSource(records, 1, "web");
    for (const std::string& text : texts) {
      LogRecordHeader header;
      header.source = 1;
      header.seq = ++seq_;
      header.level = text.starts_with("error") ? 3 : 6;
      header.realtime_ns = static_cast<int64_t>(seq_) * 1'000'000;
      logs::AddRecord(records, header, text);
    }
    Append(std::move(records), vm);
  }
  void Append(std::string records, const std::string& vm = "vm") {
    std::promise<void> done;
    OnLoop([&] {
      asio::co_spawn(
          io_,
          [](VmLogsPtr logs, std::string bytes) -> asio::awaitable<void> {
            const auto kept = co_await logs->Append({1, 2}, std::move(bytes));
            EXPECT_TRUE(kept) << kept.error().Message();
          }(logs_.Of((*fleet_.Find(vm))->spec()), std::move(records)),
          [&](const std::exception_ptr&) { done.set_value(); });
    });
    done.get_future().get();
  }
  static std::vector<std::string> Texts(const json& page) {
    std::vector<std::string> texts;
    for (const json& record : page["records"]) texts.push_back(record.value("text", "?"));
    return texts;
  }
  json Logs(TestClient& client, json params = json::object()) {
    params["name"] = "vm";
    const json answer = client.Call("compute.vm.logs", std::move(params));
    EXPECT_TRUE(answer.contains("result")) << answer;
    return answer["result"];
  }
  json Refusal(TestClient& client, json params = json::object()) {
    params["name"] = "vm";
    return client.Call("compute.vm.logs", std::move(params))["error"]["data"];
  }
  void Start(TestClient& client) {
    std::filesystem::create_directories(dir_ + "/vms/vm");
    Create(client);
    ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  }

  uint64_t seq_ = 0;
};

TEST_F(LogsServerTest, ReadsPageByPage) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  Log({"one", "two", "error three", "four"});
  const json first = Logs(client, {{"limit", 3}});
  EXPECT_THAT(Texts(first), ElementsAre("one", "two", "error three"));
  EXPECT_EQ(first["end"], false);
  EXPECT_EQ(first["note"], nullptr);
  const json& record = first["records"][2];
  EXPECT_EQ(record["seq"], 3);
  EXPECT_EQ(record["boot"], "01020000000000000000000000000000");
  EXPECT_EQ(record["time_ns"], 3'000'000);
  EXPECT_EQ(record["source"], "web");
  EXPECT_EQ(record["level"], "err");
  EXPECT_EQ(record["stderr"], false);
  EXPECT_EQ(record["partial"], false);
  EXPECT_EQ(record["cursor"], first["cursor"]);
  const json second = Logs(client, {{"cursor", first["cursor"]}});
  EXPECT_THAT(Texts(second), ElementsAre("four"));
  EXPECT_EQ(second["end"], true);
  EXPECT_EQ(second["over"], false) << "the VM is Running";
  const json none = Logs(client, {{"cursor", second["cursor"]}});
  EXPECT_TRUE(none["records"].empty());
  EXPECT_EQ(none["cursor"], second["cursor"]);

  EXPECT_THAT(Texts(Logs(client, {{"last", 2}})), ElementsAre("error three", "four"));
  EXPECT_THAT(Texts(Logs(client, {{"last", 2}, {"level", "info"}, {"until_ms", 2}})),
              ElementsAre("one", "two"));
  EXPECT_THAT(Texts(Logs(client, {{"level", "warning"}})), ElementsAre("error three"));
  EXPECT_THAT(Texts(Logs(client, {{"since_ms", 2}, {"until_ms", 3}})),
              ElementsAre("two", "error three"));
  EXPECT_TRUE(Logs(client, {{"sources", {"db"}}})["records"].empty());
}

TEST_F(LogsServerTest, CarriesWhatIsNoUtf8AsBase64AndGapsAsGaps) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  Log({"\xff\x01", "caf\xc3\xa9 \x1b["});
  std::string gap;
  logs::AddGap(gap, {3, 7, ENOSPC}, 5);
  Append(gap);
  const json records = Logs(client)["records"];
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0]["text_base64"], "/wE=");
  EXPECT_FALSE(records[0].contains("text"));
  EXPECT_EQ(records[1]["text"], "caf\xc3\xa9 \x1b[");
  EXPECT_EQ(records[2]["gap"], json({{"from", 3}, {"to", 7}, {"by", "host"}, {"why", "ENOSPC"}}));
}

TEST_F(LogsServerTest, AFollowerHearsWhatComesAndWhenItIsOver) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  Log({"one"});
  const std::string cursor = Logs(client)["cursor"];
  const auto ask = [&](const std::string& from) {
    const json request = {{"jsonrpc", "2.0"},
                          {"id", 7},
                          {"method", "compute.vm.logs"},
                          {"params", {{"name", "vm"}, {"cursor", from}, {"follow_ms", 20'000}}}};
    ASSERT_TRUE(client.Send(request.dump() + "\n"));
  };
  ask(cursor);
  Log({"two"});
  const json heard = json::parse(client.ReadLine())["result"];
  EXPECT_THAT(Texts(heard), ElementsAre("two"));

  ask(heard["cursor"]);
  TestClient other(socket_path());
  ASSERT_TRUE(other.Call("compute.vm.stop", {{"name", "vm"}}).contains("result"));
  const json end = json::parse(client.ReadLine())["result"];
  EXPECT_TRUE(end["records"].empty());
  EXPECT_EQ(end["over"], true);
  EXPECT_THAT(Texts(Logs(client)), ElementsAre("one", "two")) << "a stopped VM's logs are kept";
}

TEST_F(LogsServerTest, ItIsNotOverWhileAFollowerStillReads) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  const auto follow = [&](bool on) {
    OnLoop([&] {
      const VmLogsPtr logs = logs_.Of((*fleet_.Find("vm"))->spec());
      on ? logs->AddFollower() : logs->RemoveFollower();
    });
  };
  follow(true);
  ASSERT_TRUE(client.Call("compute.vm.kill", {{"name", "vm"}}).contains("result"));
  EXPECT_EQ(Logs(client)["over"], false);
  follow(false);
  EXPECT_EQ(Logs(client)["over"], true);
}

TEST_F(LogsServerTest, SaysWhyThereIsNothing) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  EXPECT_EQ(Refusal(client)["kind"], "wrong-state");
  EXPECT_THAT(Refusal(client)["detail"].get<std::string>(), HasSubstr("not been started"));
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  EXPECT_EQ(Logs(client)["note"], "its guest has logged nothing yet");
  OnLoop([&] {
    logs_.Of((*fleet_.Find("vm"))->spec())
        ->SetTrouble(Error{"logs", EPROTONOSUPPORT, "its agent is too old", "rebuild its image"});
  });
  EXPECT_EQ(Refusal(client)["errno_name"], "EPROTONOSUPPORT");
  EXPECT_EQ(Refusal(client)["hint"], "rebuild its image");
  std::filesystem::create_directories(dir_ + "/vms/vm");
  Log({"of an earlier boot"});
  const json page = Logs(client);
  EXPECT_THAT(Texts(page), ElementsAre("of an earlier boot"));
  EXPECT_THAT(page["note"].get<std::string>(), HasSubstr("its agent is too old"));
}

TEST_F(LogsServerTest, ThatRecordsAreDroppedIsSaidOnceInTheEventLog) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  for (const std::string trouble : {"ENOSPC: first", "ENOSPC: second", ""}) {
    OnLoop([&] {
      host_.instances.at("vm").lock()->Change([&](auto& view) { view.log_trouble = trouble; });
    });
  }
  std::vector<std::string> said;
  json params = {{"follow_ms", 20'000}};
  while (said.empty() || !said.back().contains("kept again")) {
    const json page = client.Call("compute.vm.events.tail", params)["result"];
    ASSERT_FALSE(page["events"].empty()) << testing::PrintToString(said);
    for (const json& event : page["events"]) {
      const std::string why = event["why"];
      if (why.contains("log records")) said.push_back(why);
    }
    params["cursor"] = page["cursor"];
  }
  EXPECT_THAT(said,
              ElementsAre("log records are dropped: ENOSPC: first", "log records are kept again"));
}

TEST_F(LogsServerTest, RefusesQuestionsThatMeanNothing) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  Log({"one"});
  EXPECT_EQ(client.Call("compute.vm.logs", {{"name", "none"}})["error"]["data"]["kind"],
            "unknown-vm");
  EXPECT_EQ(Refusal(client, {{"level", "loud"}})["errno_name"], "EINVAL");
  const std::string cursor = Logs(client)["cursor"];
  EXPECT_EQ(Refusal(client, {{"cursor", cursor}, {"last", 1}})["errno_name"], "EINVAL");
  for (const std::string bad : {"", "x", "1-2", "1-2-3-4", "1-2-99999999999999999999", "-1-2"}) {
    if (bad.empty()) continue;
    EXPECT_EQ(Refusal(client, {{"cursor", bad}})["errno_name"], "EINVAL") << bad;
  }
  EXPECT_EQ(Refusal(client, {{"cursor", "1-1-1"}})["errno_name"], "ESTALE");
}

}  // namespace
}  // namespace berth::daemon
