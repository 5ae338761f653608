// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/vm_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::Field;

VmSpec FullSpec() {
  VmSpec spec;
  spec.name = "web-1";
  spec.image = "/images/demo";
  spec.kernel = "/k";
  spec.initrd = "/i";
  spec.cmdline = "quiet a=b";
  spec.disks = {{"/d,with,commas", DiskFormat::kQcow2, true, "serial-1"}, {"/e"}};
  spec.vcpus = 3;
  spec.memory_mib = 777;
  spec.cid = 42;
  spec.machine = Machine::kQ35;
  spec.accel = Accel::kTcg;
  spec.hypervisor = "/usr/bin/qemu";
  spec.timeouts.boot = std::chrono::milliseconds(1234);
  spec.logs.max_bytes = 5'000'000;
  return spec;
}

std::vector<std::string> FieldsOf(const SpecMistakes& mistakes) {
  std::vector<std::string> fields;
  for (const SpecMistake& mistake : mistakes) fields.push_back(mistake.field);
  return fields;
}

TEST(VmSpec, SurvivesItsJson) {
  const VmSpec spec = FullSpec();
  const auto parsed = ParseVmSpec(ToJson(spec).dump());
  ASSERT_TRUE(parsed.has_value()) << Join(parsed.error());
  EXPECT_EQ(*parsed, spec);
}

TEST(VmSpec, NeedsLittle) {
  const auto parsed = ParseVmSpec(R"({"name":"a","image":"/img"})");
  ASSERT_TRUE(parsed.has_value()) << Join(parsed.error());
  EXPECT_EQ(parsed->machine, Machine::kMicrovm);
  EXPECT_EQ(parsed->accel, Accel::kAuto);
  EXPECT_EQ(parsed->vcpus, 1U);
}

TEST(VmSpec, TellsEveryMistakeAtOnce) {
  const auto parsed = ParseVmSpec(R"({
    "name": "-x", "vcpus": 0, "memory_mib": "lots", "machine": "pc", "kernel": "relative",
    "cmdline": "a\nb", "cid": 2, "disks": [{"path": "rel", "serial": "a,b"}, 7, {"fromat": "raw"}],
    "timeouts_ms": {"boot": 0, "start": 1}, "vcpu": 2, "logs": {"max_bytes": 4095, "bytes": 1}})");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_THAT(
      FieldsOf(parsed.error()),
      testing::UnorderedElementsAre("name", "vcpus", "memory_mib", "machine", "kernel", "cmdline",
                                    "cid", "disks[0].path", "disks[0].serial", "disks[1]",
                                    "disks[2].fromat", "disks[1].path", "timeouts_ms.boot",
                                    "timeouts_ms.start", "vcpu", "logs.max_bytes", "logs.bytes"));
}

TEST(VmSpec, WantsAnImageOrAKernel) {
  const auto parsed = ParseVmSpec(R"({"name":"a"})");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_THAT(parsed.error(), ElementsAre(Field(&SpecMistake::field, "image")));
}

TEST(VmSpec, RefusesWhatIsNoObject) {
  for (const char* text : {"[]", "1", "", "null", "{\"name\":"}) {
    EXPECT_FALSE(ParseVmSpec(text).has_value()) << text;
  }
}

TEST(VmSpec, NamesAreSafeAsDirectoriesAndArguments) {
  for (const char* name : {"a", "A-b_c9", "0"}) EXPECT_TRUE(IsValidVmName(name)) << name;
  for (const char* name : {"", "-a", "_a", ".", "..", "a/b", "a,b", "a b", "a\n", "\xc3\xa4"}) {
    EXPECT_FALSE(IsValidVmName(name)) << name;
  }
  EXPECT_TRUE(IsValidVmName(std::string(63, 'a')));
  EXPECT_FALSE(IsValidVmName(std::string(64, 'a')));
}

TEST(VmSpec, ErrorCarriesAllMistakes) {
  const Error error = ToError({{"a", "is missing"}, {"b", "is odd"}});
  EXPECT_EQ(error.detail, "a: is missing; b: is odd");
  EXPECT_EQ(error.step, Step("validate-spec"));
}

TEST(VmSpecTest, AGuestConfigSurvivesItsJsonAndKeepsItsBounds) {
  const std::string most(kMaxGuestConfigBytes, '"');
  const auto with = [](const std::string& text) {
    return ParseVmSpec(
        nlohmann::json({{"name", "a"}, {"kernel", "/k"}, {"guest_config", text}}).dump());
  };
  const auto spec = with(most);
  ASSERT_TRUE(spec);
  EXPECT_EQ(ParseVmSpec(ToJson(*spec).dump(2))->guest_config, most);
  EXPECT_FALSE(with(most + "#"));
  EXPECT_FALSE(with("a = 1\x01"));
  EXPECT_TRUE(with("a = 1\r\n\tb = 2"));
}

}  // namespace
}  // namespace berth
