#include "COpenMPI.h"
