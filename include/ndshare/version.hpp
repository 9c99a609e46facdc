// ndshare/version.hpp: the one place where the version stands (CMake and the Python package read
// it).
#pragma once
#define NDSHARE_VERSION_MAJOR 0
#define NDSHARE_VERSION_MINOR 1
#define NDSHARE_VERSION_PATCH 0
#define NDSHARE_VERSION "0.1.0"
