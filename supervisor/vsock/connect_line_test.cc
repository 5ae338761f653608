// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/connect_line.h"

#include <gtest/gtest.h>

#include <string>

#include "supervisor/vsock/limits.h"

namespace berth::vsock {
namespace {

using Status = ConnectLine::Status;

TEST(ConnectLineTest, ReadsThePortAndLeavesWhatFollows) {
  const ConnectLine line = ParseConnectLine("CONNECT 1023\nhello\n");
  EXPECT_EQ(line.status, Status::kWhole);
  EXPECT_EQ(line.port, 1023U);
  EXPECT_EQ(line.bytes, 13U);
}

TEST(ConnectLineTest, TakesEveryPortButAny) {
  EXPECT_EQ(ParseConnectLine("CONNECT 0\n").status, Status::kWhole);
  EXPECT_EQ(ParseConnectLine("CONNECT 4294967294\n").port, 4294967294U);
  EXPECT_EQ(ParseConnectLine("CONNECT 4294967295\n").status, Status::kInvalid);
  EXPECT_EQ(ParseConnectLine("CONNECT 4294967296\n").status, Status::kInvalid);
  EXPECT_EQ(ParseConnectLine("CONNECT 18446744073709551617\n").status, Status::kInvalid);
}

TEST(ConnectLineTest, WaitsForTheRestOfALineThatMayBecomeValid) {
  const std::string line = "CONNECT 1023\n";
  for (size_t length = 0; length < line.size(); ++length) {
    EXPECT_EQ(ParseConnectLine(line.substr(0, length)).status, Status::kPartial) << length;
  }
}

TEST(ConnectLineTest, RefusesAnythingElseAtTheFirstByteThatIsWrong) {
  for (const char* sent : {"G", "connect 1\n", "CONNECT\n", "CONNECT  1\n", "CONNECT \n",
                           "CONNECT -1\n", "CONNECT +1\n", "CONNECT 0x1\n", "CONNECT 1 \n",
                           "CONNECT 1\r\n", "CONNECT 1a", "CONNECTX", "\n", "CONNECT 1,2\n"}) {
    EXPECT_EQ(ParseConnectLine(sent).status, Status::kInvalid) << sent;
  }
  EXPECT_EQ(ParseConnectLine(std::string("CONNECT 1\0\n", 11)).status, Status::kInvalid);
}

TEST(ConnectLineTest, RefusesALineThatIsTooLong) {
  const std::string zeros = "CONNECT " + std::string(kMaxConnectLineBytes, '0');
  EXPECT_EQ(ParseConnectLine(zeros.substr(0, kMaxConnectLineBytes - 1)).status, Status::kPartial);
  EXPECT_EQ(ParseConnectLine(zeros.substr(0, kMaxConnectLineBytes)).status, Status::kInvalid);
  EXPECT_EQ(ParseConnectLine(zeros + "1\n").status, Status::kInvalid);
}

}  // namespace
}  // namespace berth::vsock
