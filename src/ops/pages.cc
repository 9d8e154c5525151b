// SPDX-License-Identifier: Apache-2.0
#include "ops/pages.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

using kernels::WritePagesArguments;

// Calls visit(page, row of the page, rows before, rows) for each page that holds some of them.
template <typename Visit>
void for_each_page(int64_t first, int64_t count, const Visit& visit) {
  for (int64_t done = 0; done < count;) {
    const int64_t row = first + done, start = row % kRowsPerPage;
    const int64_t own = std::min(count - done, kRowsPerPage - start);
    visit(row / kRowsPerPage, start, done, own);
    done += own;
  }
}

bool kernel_writes(const at::Tensor& page, const at::Tensor& keys, const at::Tensor& values) {
  const auto fits = [&](const at::Tensor& rows) {
    return rows.scalar_type() == page.scalar_type() && rows.stride(2) == 1;
  };
  return gpu_kernel_applies(page, {keys, values}) && fits(keys) && fits(values);
}

// Rows that lie in at most kMostPages pages.
void write_by_kernel(std::span<const at::Tensor> pages,
                     int64_t layer,
                     int64_t first,
                     const at::Tensor& keys,
                     const at::Tensor& values) {
  WritePagesArguments arguments{{},
                                first % kRowsPerPage,
                                layer,
                                keys.const_data_ptr(),
                                values.const_data_ptr(),
                                keys.stride(0),
                                keys.stride(1),
                                values.stride(0),
                                values.stride(1),
                                keys.size(0),
                                keys.size(2)};
  for_each_page(first, keys.size(1), [&](int64_t page, int64_t, int64_t, int64_t) {
    arguments.pages[page - first / kRowsPerPage] = pages[page].mutable_data_ptr();
  });
  on_gpu(keys, "write_pages", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
    gpu.write_pages(element_of(keys), arguments, keys.size(1), stream);
  });
}

}  // namespace

void reference::write_to_pages(std::span<const at::Tensor> pages,
                               int64_t layer,
                               int64_t first,
                               const at::Tensor& keys,
                               const at::Tensor& values) {
  for_each_page(first, keys.size(1), [&](int64_t page, int64_t row, int64_t before, int64_t count) {
    const at::Tensor own = pages[page][layer];
    own[0].narrow(1, row, count).copy_(keys.narrow(1, before, count));
    own[1].narrow(1, row, count).copy_(values.narrow(1, before, count));
  });
}

void write_to_pages(std::span<const at::Tensor> pages,
                    int64_t layer,
                    int64_t first,
                    const at::Tensor& keys,
                    const at::Tensor& values) {
  const int64_t count = keys.size(1);
  if (count == 0) return;
  if (!kernel_writes(pages[first / kRowsPerPage], keys, values))
    return reference::write_to_pages(pages, layer, first, keys, values);
  constexpr int64_t kMostRows = (WritePagesArguments::kMostPages - 1) * kRowsPerPage;
  for (int64_t done = 0; done < count; done += kMostRows) {
    const int64_t own = std::min(kMostRows, count - done);
    write_by_kernel(
        pages, layer, first + done, keys.narrow(1, done, own), values.narrow(1, done, own));
  }
}

std::pair<at::Tensor, at::Tensor> read_from_pages(std::span<const at::Tensor> pages,
                                                  int64_t layer,
                                                  int64_t first,
                                                  int64_t count) {
  std::vector<at::Tensor> rows;
  for_each_page(first, count, [&](int64_t page, int64_t row, int64_t, int64_t own) {
    rows.push_back(pages[page][layer].narrow(2, row, own));
  });
  const at::Tensor all = at::cat(rows, 2);
  return {all[0], all[1]};
}

}  // namespace precis::ops
