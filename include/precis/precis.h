// SPDX-License-Identifier: Apache-2.0
// Everything an application needs.
#pragma once

#include "precis/chat.h"
#include "precis/completion.h"
#include "precis/engine.h"
#include "precis/error.h"
#include "precis/log.h"
#include "precis/memory.h"
#include "precis/memory_bank.h"
#include "precis/options.h"
#include "precis/prompt.h"
#include "precis/serving.h"
#include "precis/store.h"
#include "precis/token.h"
