# SPDX-License-Identifier: Apache-2.0
#
# Compiler and linker flags of every Berth target, as the interface target berth_flags, and the third-party targets.
include_guard(GLOBAL)

set(BERTH_SIDE host CACHE STRING "host or guest; the musl toolchain file says guest")
set(BERTH_SANITIZE "" CACHE STRING "Sanitizers as -fsanitize takes them; host side only")
option(BERTH_FUZZ "Build libFuzzer targets" OFF)
option(BERTH_UNITY "Compile the sources of a library several at once: half the time of a full build" ON)
option(BERTH_CCACHE "Use ccache where it is installed" ON)

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)  # -fPIE below: CMake would choose -fPIC for static libraries
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")
if(BERTH_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(BERTH_CCACHE_PROGRAM ccache)
  if(BERTH_CCACHE_PROGRAM)
    # Without this ccache passes over every compilation that uses precompiled headers.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      "${BERTH_CCACHE_PROGRAM}")
  endif()
endif()
enable_testing()

add_library(berth_flags INTERFACE)
target_include_directories(berth_flags INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(berth_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Wvla -Werror
  -fPIE -fstack-protector-strong -fno-plt -fvisibility=hidden
  # Bytes do not depend on where the tree stands.
  "-ffile-prefix-map=${CMAKE_BINARY_DIR}=build" "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
target_link_options(berth_flags INTERFACE
  -fuse-ld=lld -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--build-id=sha1 -Wl,--gc-sections -Wl,--as-needed)

if(BERTH_SIDE STREQUAL "guest")
  include(BerthGuest)
  return()
endif()

if(BERTH_SANITIZE)
  target_compile_options(berth_flags INTERFACE
    -fsanitize=${BERTH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  target_link_options(berth_flags INTERFACE -fsanitize=${BERTH_SANITIZE})
else()
  target_compile_definitions(berth_flags INTERFACE _FORTIFY_SOURCE=2)
endif()
target_compile_definitions(berth_flags INTERFACE _GLIBCXX_ASSERTIONS)
if(BERTH_FUZZ)
  target_compile_options(berth_flags INTERFACE -fsanitize=fuzzer-no-link)
  add_custom_target(fuzzers)
endif()
add_custom_target(unit_tests)
add_custom_target(system_tests)  # what end-to-end tests and benchmarks run

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(fmt REQUIRED)
find_package(LibArchive 3.6 REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
include(GoogleTest)

set(BERTH_PROTOC protobuf::protoc)
add_library(berth_protobuf INTERFACE)
target_link_libraries(berth_protobuf INTERFACE protobuf::libprotobuf-lite)
add_library(berth_boost INTERFACE)
target_link_libraries(berth_boost INTERFACE Boost::headers Threads::Threads)
# Warnings about deprecated Asio names would otherwise depend on the order of includes.
target_compile_definitions(berth_boost INTERFACE BOOST_ASIO_NO_DEPRECATED)
add_library(berth_tomlpp INTERFACE)
