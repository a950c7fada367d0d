#pragma once

#include "optimizers.h"
