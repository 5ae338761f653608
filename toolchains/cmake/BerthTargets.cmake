# SPDX-License-Identifier: Apache-2.0
#
# The ways a Berth folder declares what it builds, and the flags they all share.
#
#   berth_library(berth_x SRCS a.cc HDRS a.h DEPS berth_base fmt::fmt [VISIBLE_TO agent supervisor/shim])
#   berth_executable(berth-x SRCS main.cc DEPS berth_x [STATIC])   -> ${build}/bin/berth-x
#   berth_test(x_test SRCS x_test.cc DEPS berth_x)                 GoogleTest, ctest label "unit"; host only
#   berth_fuzzer(x_fuzz SRCS x_fuzz.cc DEPS berth_x CORPUS dir)    LLVMFuzzerTestOneInput; host only
#   berth_no_exceptions(berth_x)                                   PID 1 and what it links
#   berth_proto(berth_proto PROTOS berth.proto)                    -> #include "protocol/proto/berth.pb.h"
#
# VISIBLE_TO names the folders whose targets may depend on a library; left out, every folder that
# tests/lint/include_rules.txt lets include it may. A dependency it does not allow ends the configure step.
#
# Third-party targets on both sides: berth_boost (Asio), berth_tomlpp, berth_protobuf. On the host also those of
# fmt::fmt, spdlog::spdlog, nlohmann_json::nlohmann_json, CLI11::CLI11, GTest::gmock, benchmark::benchmark; a library that
# goes into a STATIC executable takes fmt::fmt-header-only, for Debian's fmt::fmt is a shared object.

include_guard(GLOBAL)
include(BerthFlags)

# --- What may depend on what ---

# The folder of the tree a target belongs to, as visibility rules name it: "init", "supervisor/shim", "protocol/base".
# WIRES: a program or a test, which may depend on every library of its own part of the tree (its first folder).
function(_berth_register target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "WIRES" "" "DEPS;VISIBLE_TO")
  file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  set_target_properties(${target} PROPERTIES BERTH_FOLDER "${folder}" BERTH_DEPS "${arg_DEPS}"
    BERTH_VISIBLE_TO "${arg_VISIBLE_TO}" BERTH_WIRES "${arg_WIRES}")
  set_property(GLOBAL APPEND PROPERTY BERTH_TARGETS ${target})
endfunction()

# Whether `folder` is, or lies in, one of the folders listed.
function(_berth_within folder result)
  set(${result} FALSE PARENT_SCOPE)
  foreach(prefix IN LISTS ARGN)
    string(FIND "${folder}/" "${prefix}/" at)
    if(at EQUAL 0)
      set(${result} TRUE PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# What tests/lint/include_rules.txt lets `folder` include; "none" where it does not name the folder.
function(_berth_rules_of folder result)
  file(STRINGS "${CMAKE_SOURCE_DIR}/tests/lint/include_rules.txt" rows REGEX "^[^#].*:")
  set(${result} none PARENT_SCOPE)
  set(longest 0)
  foreach(row IN LISTS rows)
    string(REGEX MATCH "^[^:]+" name "${row}")
    string(LENGTH "${name}" length)
    _berth_within("${folder}" fits "${name}")
    if(fits AND length GREATER longest)
      set(longest ${length})
      string(REGEX REPLACE "^[^:]+:([^!]*).*" "\\1" allowed "${row}")
      separate_arguments(allowed UNIX_COMMAND "${allowed}")
      set(${result} "${allowed}" PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

# Called once all folders are read, for a library may be declared after those that use it.
function(_berth_check_visibility)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/lint/include_rules.txt")
  get_property(targets GLOBAL PROPERTY BERTH_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folder ${target} BERTH_FOLDER)
    get_target_property(deps ${target} BERTH_DEPS)
    get_target_property(wires ${target} BERTH_WIRES)
    _berth_rules_of("${folder}" allowed)
    foreach(dep IN LISTS deps)
      if(NOT TARGET ${dep})
        message(FATAL_ERROR "${folder}: ${target} depends on ${dep}, which no folder declares")
      endif()
      get_target_property(dep_folder ${dep} BERTH_FOLDER)
      if(NOT dep_folder OR dep_folder STREQUAL folder)
        continue()
      endif()
      get_target_property(visible_to ${dep} BERTH_VISIBLE_TO)
      _berth_within("${folder}" visible ${visible_to})
      if(visible_to AND NOT visible)
        message(FATAL_ERROR "${folder}: ${target} may not depend on ${dep}, which is visible to ${visible_to} only")
      endif()
      _berth_within("${dep_folder}" fits ${allowed})
      foreach(prefix IN LISTS allowed)  # a rule may allow single headers of the folder
        _berth_within("${prefix}" header "${dep_folder}")
        if(header)
          set(fits TRUE)
        endif()
      endforeach()
      string(REGEX MATCH "^[^/]+" part "${folder}")
      _berth_within("${dep_folder}" same_part "${part}")
      if(NOT fits AND NOT (wires AND same_part))
        message(FATAL_ERROR "${folder}: ${target} may not depend on ${dep} of ${dep_folder}: "
          "tests/lint/include_rules.txt allows ${folder}: ${allowed}")
      endif()
    endforeach()
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _berth_check_visibility)

# --- Targets ---

function(berth_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;HDRS;DEPS;VISIBLE_TO")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "berth_library(${target}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(arg_SRCS)
    add_library(${target} STATIC ${arg_SRCS} ${arg_HDRS})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ${BERTH_UNITY} UNITY_BUILD_BATCH_SIZE 8)
    target_link_libraries(${target} PRIVATE berth_flags PUBLIC ${arg_DEPS})
  else()
    add_library(${target} INTERFACE ${arg_HDRS})
    target_link_libraries(${target} INTERFACE ${arg_DEPS})
  endif()
  _berth_register(${target} DEPS ${arg_DEPS} VISIBLE_TO ${arg_VISIBLE_TO})
endfunction()

# For PID 1 and what it links: no exceptions and no RTTI in the guest, where an allocation that fails aborts anyway. On
# the host GoogleTest and the sanitizers want them, so there the code only has to do without.
function(berth_no_exceptions target)
  if(BERTH_SIDE STREQUAL "guest")
    target_compile_options(${target} PRIVATE -fno-exceptions -fno-rtti)
  endif()
endfunction()

function(berth_executable target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STATIC" "" "SRCS;DEPS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "berth_executable(${target}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  add_executable(${target} ${arg_SRCS})
  target_link_libraries(${target} PRIVATE berth_flags ${arg_DEPS})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  # A sanitizer's runtime cannot be linked statically into an executable with a static libc.
  if(BERTH_SIDE STREQUAL "guest" OR (arg_STATIC AND NOT BERTH_SANITIZE))
    target_link_options(${target} PRIVATE -static-pie)
  else()
    target_link_options(${target} PRIVATE -pie)
  endif()
  if(BERTH_SIDE STREQUAL "guest")
    _berth_split_debug(${target})
  else()
    add_dependencies(system_tests ${target})
  endif()
  _berth_register(${target} WIRES DEPS ${arg_DEPS})
endfunction()

# Leaves bin/x stripped and bin/x.debug beside it, tied together by build id and debug link.
function(_berth_split_debug target)
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND ${CMAKE_OBJCOPY} --only-keep-debug ${target} ${target}.debug
    COMMAND ${CMAKE_STRIP} --strip-all ${target}
    COMMAND ${CMAKE_OBJCOPY} --add-gnu-debuglink=${target}.debug ${target}
    WORKING_DIRECTORY "${CMAKE_BINARY_DIR}/bin" VERBATIM)
endfunction()

# What nearly every test includes, parsed once instead of in each: half of a test's compile time.
function(_berth_test_headers)
  file(WRITE "${CMAKE_BINARY_DIR}/test_headers.cc" "")
  add_library(berth_test_headers OBJECT "${CMAKE_BINARY_DIR}/test_headers.cc")
  target_link_libraries(berth_test_headers PRIVATE berth_flags GTest::gmock nlohmann_json::nlohmann_json)
  target_compile_options(berth_test_headers PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  target_precompile_headers(berth_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp>
    <algorithm> <chrono> <expected> <filesystem> <functional> <map> <memory> <string> <thread> <vector>)
endfunction()

function(berth_test target)
  if(BERTH_SIDE STREQUAL "guest")
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;DEPS")
  add_executable(${target} ${arg_SRCS})
  target_link_libraries(${target} PRIVATE berth_flags ${arg_DEPS} GTest::gmock GTest::gtest_main)
  target_link_options(${target} PRIVATE -pie)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
  _berth_register(${target} WIRES DEPS ${arg_DEPS})
  if(NOT TARGET berth_test_headers)
    _berth_test_headers()
  endif()
  target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  target_precompile_headers(${target} REUSE_FROM berth_test_headers)
  add_dependencies(unit_tests ${target})
  # Cases are listed when ctest starts, not when the binary is built: building needs to run nothing.
  gtest_discover_tests(${target} TEST_PREFIX "${target}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# With BERTH_FUZZ a libFuzzer binary and a short run of it (label "fuzz"). In the other host presets the same
# sources with a driver that replays the corpus (label "unit"), so that an input that once broke a parser is tried by
# every test run. The name of each corpus file says what it holds.
set(BERTH_FUZZ_SECONDS 5 CACHE STRING "How long the smoke run of each fuzzer lasts")
function(berth_fuzzer target)
  if(BERTH_SIDE STREQUAL "guest")
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CORPUS" "SRCS;DEPS")
  if(NOT arg_CORPUS)
    message(FATAL_ERROR "berth_fuzzer(${target}) needs CORPUS: a folder with at least one input")
  endif()
  get_filename_component(corpus "${arg_CORPUS}" ABSOLUTE)
  file(GLOB inputs "${corpus}/*")
  if(NOT inputs)
    message(FATAL_ERROR "berth_fuzzer(${target}): ${corpus} is empty")
  endif()
  add_executable(${target} ${arg_SRCS})
  target_link_libraries(${target} PRIVATE berth_flags ${arg_DEPS})
  target_link_options(${target} PRIVATE -pie)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
  _berth_register(${target} WIRES DEPS ${arg_DEPS})
  if(BERTH_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${target})
    # The first folder takes new inputs, so it is one of the build tree's.
    set(found "${CMAKE_BINARY_DIR}/fuzz/${target}.found")
    file(MAKE_DIRECTORY "${found}")
    add_test(NAME ${target} COMMAND ${target} -max_total_time=${BERTH_FUZZ_SECONDS} -timeout=10 -rss_limit_mb=2048
      -print_final_stats=1 -artifact_prefix=${CMAKE_BINARY_DIR}/fuzz/${target}- "${found}" "${corpus}")
    set_tests_properties(${target} PROPERTIES LABELS fuzz TIMEOUT 120)
  else()
    target_sources(${target} PRIVATE "${CMAKE_SOURCE_DIR}/toolchains/cmake/fuzz_replay.cc")
    add_dependencies(unit_tests ${target})
    add_test(NAME ${target}.corpus COMMAND ${target} "${corpus}")
    set_tests_properties(${target}.corpus PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endfunction()

function(berth_proto target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PROTOS;VISIBLE_TO")
  file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  set(generated "${CMAKE_BINARY_DIR}/generated")
  set(sources)
  foreach(proto IN LISTS arg_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem "${folder}/${proto}")
    add_custom_command(OUTPUT "${generated}/${stem}.pb.cc" "${generated}/${stem}.pb.h"
      COMMAND ${CMAKE_COMMAND} -E make_directory "${generated}"
      COMMAND ${BERTH_PROTOC} "--proto_path=${CMAKE_SOURCE_DIR}" "--cpp_out=${generated}" "${stem}.proto"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${proto}" WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" VERBATIM)
    list(APPEND sources "${generated}/${stem}.pb.cc" "${generated}/${stem}.pb.h")
  endforeach()
  add_library(${target} STATIC ${sources})
  # SYSTEM and -w: our warnings are for code that we write.
  target_include_directories(${target} SYSTEM PUBLIC "${generated}")
  target_compile_options(${target} PRIVATE -w)
  target_link_libraries(${target} PRIVATE berth_flags PUBLIC berth_protobuf)
  _berth_register(${target} DEPS berth_protobuf VISIBLE_TO ${arg_VISIBLE_TO})
endfunction()
