# SPDX-License-Identifier: Apache-2.0
#
# CMake toolchain file for the guest: Clang, musl and the sysroot of toolchains/bootstrap. BERTH_ARCH is the
# architecture as Clang names it.
set(BERTH_ARCH x86_64 CACHE STRING "The guest's architecture")
set(BERTH_SIDE guest CACHE STRING "host or guest")
# try_compile reads this file again, in a cache of its own.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BERTH_ARCH BERTH_SYSROOT)

# Asked at every configure, not cached: an upgraded package makes a new sysroot. Builds it where it is missing.
if(NOT BERTH_SYSROOT)
  execute_process(COMMAND "${CMAKE_CURRENT_LIST_DIR}/bootstrap" --arch "${BERTH_ARCH}" --print
    OUTPUT_VARIABLE BERTH_SYSROOT OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "toolchains/bootstrap --arch ${BERTH_ARCH} failed; see its message above")
  endif()
endif()

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR "${BERTH_ARCH}")
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_CXX_COMPILER_TARGET "${BERTH_ARCH}-linux-musl")
set(CMAKE_SYSROOT "${BERTH_SYSROOT}")
set(CMAKE_AR /usr/bin/llvm-ar-19)
set(CMAKE_RANLIB /usr/bin/llvm-ranlib-19)
set(CMAKE_OBJCOPY /usr/bin/llvm-objcopy-19)
set(CMAKE_STRIP /usr/bin/llvm-strip-19)

# Paths into the sysroot stand in BerthGuest.cmake: flags set here are cached, and would outlive it.
set(CMAKE_EXE_LINKER_FLAGS_INIT
  "-fuse-ld=lld -stdlib=libc++ -rtlib=compiler-rt -unwindlib=libunwind -static-pie")
set(CMAKE_CXX_STANDARD_LIBRARIES_INIT "-lc++abi")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
