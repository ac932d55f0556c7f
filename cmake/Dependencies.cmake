# What UAQF links, each pinned by Debian 12 or by deploy/dependencies.lock.

if(NOT UAQF_DEPS)
  if(DEFINED ENV{UAQF_CACHE})
    set(UAQF_DEPS $ENV{UAQF_CACHE}/deps)
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(UAQF_DEPS $ENV{XDG_CACHE_HOME}/uaqf/deps)
  else()
    set(UAQF_DEPS $ENV{HOME}/.cache/uaqf/deps)
  endif()
endif()
if(NOT EXISTS ${UAQF_DEPS}/sentencepiece-0.2.1)
  message(FATAL_ERROR "no dependencies in ${UAQF_DEPS}: run deploy/dependencies.sh first, or set UAQF_DEPS")
endif()

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC REQUIRED CONFIG)
find_package(absl REQUIRED CONFIG)
find_package(prometheus-cpp REQUIRED CONFIG)
find_package(SQLiteCpp REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(spdlog REQUIRED CONFIG)
find_package(OpenSSL REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
if(UAQF_BUILD_TESTS)
  find_package(GTest REQUIRED CONFIG)
endif()

# Debian's 0.1.97 has CVE-2026-1260; this one is built from its source archive.
add_library(uaqf_sentencepiece STATIC IMPORTED)
set_target_properties(uaqf_sentencepiece PROPERTIES
  IMPORTED_LOCATION ${UAQF_DEPS}/sentencepiece-0.2.1/lib/libsentencepiece.a
  INTERFACE_INCLUDE_DIRECTORIES ${UAQF_DEPS}/sentencepiece-0.2.1/include
  INTERFACE_LINK_LIBRARIES "protobuf::libprotobuf;absl::strings;absl::flat_hash_map")

if(UAQF_BUILD_WORKER)
  # libtorch's own find_package insists on a CUDA toolkit, so the CPU half is declared here. It was linked
  # against the CUDA runtime and CUPTI and needs both to load, although it calls neither.
  set(torch_root ${UAQF_DEPS}/torch-2.11.0/torch)
  add_library(uaqf_c10 SHARED IMPORTED)
  set_target_properties(uaqf_c10 PROPERTIES IMPORTED_LOCATION ${torch_root}/lib/libc10.so)
  add_library(uaqf_torch SHARED IMPORTED)
  set(cuda_stubs ${UAQF_DEPS}/cuda-runtime-13.0.96/nvidia/cu13/lib ${UAQF_DEPS}/cuda-cupti-13.0.85/nvidia/cu13/lib)
  set_target_properties(uaqf_torch PROPERTIES
    IMPORTED_LOCATION ${torch_root}/lib/libtorch_cpu.so
    INTERFACE_INCLUDE_DIRECTORIES ${torch_root}/include
    INTERFACE_LINK_LIBRARIES uaqf_c10
    INTERFACE_LINK_OPTIONS "LINKER:--allow-shlib-undefined;LINKER:-rpath,${torch_root}/lib")
  foreach(folder ${cuda_stubs})
    set_property(TARGET uaqf_torch APPEND PROPERTY INTERFACE_LINK_OPTIONS "LINKER:-rpath,${folder}" "LINKER:-rpath-link,${folder}")
  endforeach()
  # DT_RPATH, not DT_RUNPATH: libtorch_cpu's own needs are resolved through the program's path.
  set_property(TARGET uaqf_torch APPEND PROPERTY INTERFACE_LINK_OPTIONS "LINKER:--disable-new-dtags")
endif()
