# How a box of DESIGN becomes a target, and a test file a test.

# Our own code is held to these; generated code is not.
add_library(uaqf_options INTERFACE)
target_compile_options(uaqf_options INTERFACE -Wall -Wextra -Wpedantic -Werror)
target_include_directories(uaqf_options INTERFACE ${CMAKE_SOURCE_DIR})
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(uaqf_options INTERFACE -Wthread-safety)
endif()
if(UAQF_SANITIZE)
  add_compile_options(-fsanitize=${UAQF_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${UAQF_SANITIZE})
endif()

# uaqf_library(NAME SOURCES ... LINK ...): one box. What is not in LINK cannot be included.
function(uaqf_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC uaqf_options ${arg_LINK})
endfunction()

# uaqf_program(NAME OUTPUT file SOURCES ... LINK ...)
function(uaqf_program name)
  cmake_parse_arguments(arg "" "OUTPUT" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ${arg_OUTPUT})
  target_link_libraries(${name} PRIVATE uaqf_options ${arg_LINK})
endfunction()

# All programs with the label `unit`: what the sanitizer build needs.
add_custom_target(unit_tests)

# uaqf_test(NAME LABELS unit|integration|fault|gpu|fuzz SOURCES ... LINK ...): a GoogleTest program known to CTest.
# It runs in its own scratch folder and finds the tree in UAQF_SOURCE_DIR.
function(uaqf_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "LABELS;SOURCES;LINK" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE uaqf_options ${arg_LINK} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "UAQF_SOURCE_DIR=${CMAKE_SOURCE_DIR};UAQF_BIN_DIR=${CMAKE_BINARY_DIR}/bin;UAQF_DEPS=${UAQF_DEPS}")
endfunction()

# Debian's own: the one that python3-grpcio and python3-protobuf serve.
find_program(UAQF_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)

# uaqf_python_test(NAME SCRIPT file LABELS ... [TIMEOUT s] [ARGS ...]): a script that passes by ending with 0. Scripts find
# the programs in UAQF_BIN_DIR and share tests/support/*.py.
function(uaqf_python_test name)
  cmake_parse_arguments(arg "" "SCRIPT;TIMEOUT" "LABELS;ARGS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${UAQF_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "UAQF_SOURCE_DIR=${CMAKE_SOURCE_DIR};UAQF_BIN_DIR=${CMAKE_BINARY_DIR}/bin;UAQF_DEPS=${UAQF_DEPS}")
endfunction()
