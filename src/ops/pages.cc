// SPDX-License-Identifier: Apache-2.0
#include "ops/pages.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

using kernels::ReadPagesArguments;
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

bool kernel_copies(const at::Tensor& page, const at::Tensor& keys, const at::Tensor& values) {
  const auto fits = [&](const at::Tensor& rows) {
    return rows.scalar_type() == page.scalar_type() && rows.stride(2) == 1;
  };
  return gpu_kernel_applies(page, {keys, values}) && fits(keys) && fits(values);
}

// Calls copy(first row, rows before, rows) for runs of rows that lie in as many pages as the
// kernels take at once.
template <typename Copy>
void for_each_run(int64_t first, int64_t count, const Copy& copy) {
  constexpr int64_t kMostRows = (WritePagesArguments::kMostPages - 1) * kRowsPerPage;
  for (int64_t done = 0; done < count; done += kMostRows)
    copy(first + done, done, std::min(kMostRows, count - done));
}

// address(rows): where they begin, as the kernel takes it.
template <typename Arguments, typename Address>
Arguments arguments_for(std::span<const at::Tensor> pages,
                        int64_t layer,
                        int64_t first,
                        const at::Tensor& keys,
                        const at::Tensor& values,
                        const Address& address) {
  Arguments arguments{{},
                      first % kRowsPerPage,
                      layer,
                      address(keys),
                      address(values),
                      keys.stride(0),
                      keys.stride(1),
                      values.stride(0),
                      values.stride(1),
                      keys.size(0),
                      keys.size(2)};
  for_each_page(first, keys.size(1), [&](int64_t page, int64_t, int64_t, int64_t) {
    arguments.pages[page - first / kRowsPerPage] = pages[page].data_ptr();
  });
  return arguments;
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

std::pair<at::Tensor, at::Tensor> reference::read_from_pages(std::span<const at::Tensor> pages,
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

void write_to_pages(std::span<const at::Tensor> pages,
                    int64_t layer,
                    int64_t first,
                    const at::Tensor& keys,
                    const at::Tensor& values) {
  const int64_t count = keys.size(1);
  if (count == 0) return;
  if (!kernel_copies(pages[first / kRowsPerPage], keys, values))
    return reference::write_to_pages(pages, layer, first, keys, values);
  for_each_run(first, count, [&](int64_t row, int64_t before, int64_t own) {
    const auto arguments = arguments_for<WritePagesArguments>(
        pages,
        layer,
        row,
        keys.narrow(1, before, own),
        values.narrow(1, before, own),
        [](const at::Tensor& rows) { return rows.const_data_ptr(); });
    on_gpu(keys, "write_pages", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
      gpu.write_pages(element_of(keys), arguments, own, stream);
    });
  });
}

std::pair<at::Tensor, at::Tensor> read_from_pages(std::span<const at::Tensor> pages,
                                                  int64_t layer,
                                                  int64_t first,
                                                  int64_t count) {
  const at::Tensor& page = pages[first / kRowsPerPage];
  if (!gpu_kernel_applies(page)) return reference::read_from_pages(pages, layer, first, count);
  // The heads of a row together, as attention over packed sequences wants them.
  const at::Tensor all = at::empty({2, count, page.size(2), page.size(4)}, page.options());
  const at::Tensor keys = all[0].transpose(0, 1), values = all[1].transpose(0, 1);
  for_each_run(first, count, [&](int64_t row, int64_t before, int64_t own) {
    const auto arguments = arguments_for<ReadPagesArguments>(
        pages,
        layer,
        row,
        keys.narrow(1, before, own),
        values.narrow(1, before, own),
        [](const at::Tensor& rows) { return rows.mutable_data_ptr(); });
    on_gpu(page, "read_pages", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
      gpu.read_pages(element_of(page), arguments, own, stream);
    });
  });
  return {keys, values};
}

}  // namespace precis::ops
