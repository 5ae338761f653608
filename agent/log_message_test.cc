// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "agent/kernel_message.h"
#include "agent/log_level.h"
#include "agent/syslog_message.h"

namespace berth::agent {
namespace {

struct Parsed {
  int level;
  std::string text;
  bool operator==(const Parsed&) const = default;
};
void PrintTo(const Parsed& parsed, std::ostream* out) {
  *out << parsed.level << " \"" << parsed.text << '"';
}

Parsed Syslog(std::string_view datagram) {
  std::string scratch;
  const SyslogMessage message = ParseSyslog(datagram, scratch);
  return {message.level, std::string(message.text)};
}

TEST(SyslogMessage, OfALibraryLosesItsPriorityAndTime) {
  EXPECT_EQ(Syslog("<30>Nov 21 22:01:02 crond[12]: (root) CMD"),
            (Parsed{6, "crond[12]: (root) CMD"}));
  EXPECT_EQ(Syslog("<11>Nov  1 02:01:02 app: broken\n"), (Parsed{3, "app: broken"}));
  EXPECT_EQ(Syslog(std::string_view("<0>Nov  1 02:01:02 x: y\0", 24)), (Parsed{0, "x: y"}));
}

TEST(SyslogMessage, OfRfc5424BecomesTagProcessAndMessage) {
  EXPECT_EQ(Syslog("<165>1 2003-10-11T22:14:15.003Z host su 77 ID47 - 'su root' failed"),
            (Parsed{5, "su[77]: 'su root' failed"}));
  EXPECT_EQ(Syslog("<165>1 - - su - - [a@1 b=\"c \\] d\"][e] \xEF\xBB\xBFtext"),
            (Parsed{5, "su: [a@1 b=\"c \\] d\"][e] text"}));
  EXPECT_EQ(Syslog("<165>1 - - - - - -"), (Parsed{5, ""}));
}

TEST(SyslogMessage, OfAnotherFormIsTakenAsItIs) {
  EXPECT_EQ(Syslog("just words"), (Parsed{6, "just words"}));
  EXPECT_EQ(Syslog(""), (Parsed{6, ""}));
  EXPECT_EQ(Syslog("<12>"), (Parsed{4, ""}));
  EXPECT_EQ(Syslog("<12>no time here"), (Parsed{4, "no time here"}));
  EXPECT_EQ(Syslog("<192>Nov 21 22:01:02 x"), (Parsed{6, "<192>Nov 21 22:01:02 x"}));
  EXPECT_EQ(Syslog("<12>1 2003-10-11T22:14:15Z host app pid id [never closed"),
            (Parsed{4, "1 2003-10-11T22:14:15Z host app pid id [never closed"}));
  EXPECT_EQ(Syslog("<12>1 2003-10-11T22:14:15Z host app pid id [\"]\" \\"),
            (Parsed{4, "1 2003-10-11T22:14:15Z host app pid id [\"]\" \\"}));
}

TEST(KernelMessage, HasLevelNumberTimeAndItsFirstLine) {
  const auto message =
      ParseKernelMessage("30,339,5140900,-,caller=T1;NET: up\n SUBSYSTEM=net\n DEVICE=+x\n");
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->from_kernel);
  EXPECT_EQ(message->level, 6);
  EXPECT_EQ(message->seq, 339U);
  EXPECT_EQ(message->monotonic_us, 5140900U);
  EXPECT_EQ(message->text, "NET: up");
  EXPECT_EQ(ParseKernelMessage("6,1,2,-;a;b")->text, "a;b");
  EXPECT_TRUE(ParseKernelMessage("6,1,2,-;a;b")->from_kernel);
}

TEST(KernelMessage, OfAnotherFormIsNone) {
  for (const char* text : {"", ";", "6;x", "6,1;x", "6,1,2;x", "a,1,2,-;x", "6,-1,2,-;x",
                           "6,99999999999999999999,2,-;x", "6,1,2,-"}) {
    EXPECT_FALSE(ParseKernelMessage(text)) << text;
  }
}

Parsed Prefix(std::string_view text) {
  const int level = TakeLevelPrefix(text);
  return {level, std::string(text)};
}

TEST(LogLevelPrefix, IsCutOffWhereItIsOne) {
  EXPECT_EQ(Prefix("<3>bad"), (Parsed{3, "bad"}));
  EXPECT_EQ(Prefix("<191>x"), (Parsed{7, "x"}));
  for (const char* text : {"", "<", "<3", "<>x", "<x>y", "<1234>y", "<192>y", "3>y", " <3>y"}) {
    EXPECT_EQ(Prefix(text), (Parsed{6, text}));
  }
}

}  // namespace
}  // namespace berth::agent
