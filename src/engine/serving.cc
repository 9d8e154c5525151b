// SPDX-License-Identifier: Apache-2.0
#include "precis/serving.h"

#include <utility>

#include "engine/request_record.h"

namespace precis {

RequestHandle::RequestHandle(std::shared_ptr<RequestRecord> record) : record_(std::move(record)) {}

RequestState RequestHandle::state() const { return record_->state(); }

void RequestHandle::cancel() const { record_->cancel(); }

void RequestHandle::wait() const { record_->wait(); }

bool RequestHandle::wait_for(std::chrono::milliseconds timeout) const {
  return record_->wait_for(timeout);
}

Completion RequestHandle::get() const {
  record_->wait();
  Completion completion = record_->completion();
  if (completion.error) std::rethrow_exception(completion.error);
  return completion;
}

}  // namespace precis
