# tidepool_layer(NAME PARSERS REGEX LINK ...): the static library of one top-level folder. In the preset fuzz it is only
# the files whose name matches REGEX: what the fuzz targets need of the folder. Where something is missing, they do not
# link.
#
# Headers are included as "NAME/file.h". Each library exports its own include root, build/include/NAME, that holds
# nothing but a link to its folder; so the only headers a file can name are those of the libraries it links.
function(tidepool_layer name)
    cmake_parse_arguments(ARG "" "PARSERS" "LINK" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.cpp)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.h)
    list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/proxy/main.cpp)
    list(FILTER sources EXCLUDE REGEX "/transform/worker(/|_process)")  # see cmake/worker.cmake
    if(TIDEPOOL_PRESET STREQUAL "fuzz")
        list(FILTER sources INCLUDE REGEX "/(${ARG_PARSERS})\\.cpp$")
    endif()
    set(root ${CMAKE_BINARY_DIR}/include/${name})
    file(MAKE_DIRECTORY ${root})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${name} ${root}/${name} SYMBOLIC)
    add_library(${name} STATIC ${sources})
    target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR}/${name} FILES ${headers})
    # The base directory of a file set is exported as an include path, which would let "file.h" be named without its
    # folder; the root above replaces it.
    set_target_properties(${name} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${root} INCLUDE_DIRECTORIES ${root})
    target_link_libraries(${name} ${ARG_LINK})
    tidepool_warnings(${name})
    tidepool_precompiled(${name})
endfunction()
