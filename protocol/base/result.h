// SPDX-License-Identifier: Apache-2.0
//
// Result<T> and Error: the one way a Berth function says that it failed.
//
// An Error names the step that failed (a string literal such as "pivot-root", so that it can be
// grepped and costs nothing to carry), the errno, what was being tried, and what a person can do
// about it. It is a value: no exceptions cross a Berth interface, and PID 1 is built without them.
#ifndef BERTH_PROTOCOL_BASE_RESULT_H_
#define BERTH_PROTOCOL_BASE_RESULT_H_

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace berth {

// The name of a step, in kebab-case. Only literals convert, so the name lives forever.
class Step {
 public:
  consteval Step(const char* name) : name_(name) {}  // NOLINT(google-explicit-constructor)
  constexpr std::string_view name() const { return name_; }
  constexpr const char* c_str() const { return name_; }
  friend constexpr bool operator==(Step a, Step b) { return a.name() == b.name(); }

 private:
  const char* name_;
};

struct [[nodiscard]] Error {
  Step step;
  int errnum =
      0;  // an errno value; 0 where the failure has none (bad input, a deadline of our own)
  std::string detail;  // what was being tried, with the names that matter: "/run/berth/a.sock"
  std::string hint;    // what a person can do about it; may be empty

  // "connect: ECONNREFUSED (Connection refused): /run/berth/a.sock; is berthd running?"
  std::string Message() const;
};

template <typename T = void>
using Result = std::expected<T, Error>;

// An error from the calling thread's errno. Call it before anything that may change errno.
inline std::unexpected<Error> ErrnoError(Step step, std::string detail = {},
                                         std::string hint = {}) {
  const int errnum = errno;
  return std::unexpected(Error{step, errnum, std::move(detail), std::move(hint)});
}

// An error with an errno taken from elsewhere (a child, a peer), or with none (0).
inline std::unexpected<Error> Fail(Step step, int errnum, std::string detail,
                                   std::string hint = {}) {
  return std::unexpected(Error{step, errnum, std::move(detail), std::move(hint)});
}

// "ECONNREFUSED", or "errno 4711" for a number Linux does not name. Async-signal-safe for known
// numbers.
std::string ErrnoName(int errnum);

// "ECONNREFUSED (Connection refused)", of any number.
std::string ErrnoText(int errnum);

// The symbolic name, or nullptr where Linux has none. Async-signal-safe.
const char* ErrnoSymbol(int errnum);

}  // namespace berth

// Evaluates `expr` (a Result); on failure returns its error from the enclosing function.
#define BERTH_TRY(expr)                                            \
  do {                                                             \
    if (auto berth_try_result = (expr); !berth_try_result)         \
      return std::unexpected(std::move(berth_try_result.error())); \
  } while (false)

#define BERTH_CONCAT_INNER(a, b) a##b
#define BERTH_CONCAT(a, b) BERTH_CONCAT_INNER(a, b)

// BERTH_ASSIGN(auto fd, OpenThing()): declares from the Result's value, or returns its error.
#define BERTH_ASSIGN(decl, expr) \
  BERTH_ASSIGN_INNER(decl, expr, BERTH_CONCAT(berth_result_, __LINE__))
#define BERTH_ASSIGN_INNER(decl, expr, tmp)                 \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp.error())); \
  decl = std::move(*tmp)

#endif  // BERTH_PROTOCOL_BASE_RESULT_H_
