# SPDX-License-Identifier: Apache-2.0
#
# The guest side of berth_flags: small static-PIE code on musl, libc++ and the sysroot of toolchains/bootstrap.
include_guard(GLOBAL)

# -nostdinc++: Clang would prefer the host's own libc++ where it is installed.
target_compile_options(berth_flags INTERFACE
  -nostdinc++ "SHELL:-isystem ${CMAKE_SYSROOT}/usr/include/c++/v1" "-ffile-prefix-map=${CMAKE_SYSROOT}=/sysroot"
  -ffunction-sections -fdata-sections)
target_compile_definitions(berth_flags INTERFACE _LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_FAST)
target_link_options(berth_flags INTERFACE -Wl,--icf=all -Wl,-O2)

find_program(BERTH_PROTOC protoc REQUIRED NO_CMAKE_FIND_ROOT_PATH)
add_library(berth_protobuf INTERFACE)
target_link_libraries(berth_protobuf INTERFACE protobuf-lite)
add_library(berth_boost INTERFACE)
target_compile_definitions(berth_boost INTERFACE BOOST_ASIO_NO_DEPRECATED
  # Handlers and coroutine frames that the agent keeps for the next session instead of giving them back to malloc.
  BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=8)
add_library(berth_tomlpp INTERFACE)
