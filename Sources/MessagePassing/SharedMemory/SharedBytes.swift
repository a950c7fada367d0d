import Glibc

/// Bytes of one rank that all ranks of its host read: in memory that they share, or as a copy each where the
/// system gives none.
public final class SharedBytes: @unchecked Sendable {
  public let bytes: UnsafeRawBufferPointer
  private let page: UnsafeMutableRawPointer?

  /// Shared memory, of which the bytes lie behind a header.
  fileprivate init(page: UnsafeMutableRawPointer, count: Int) {
    self.page = page
    bytes = UnsafeRawBufferPointer(start: page + HostMemory.headerSize, count: count)
  }

  fileprivate init(copying values: [UInt8]) {
    page = nil
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: values.count, alignment: 64)
    copy.copyBytes(from: values)
    bytes = UnsafeRawBufferPointer(copy)
  }

  deinit {
    if let page { munmap(page, HostMemory.headerSize + bytes.count) } else { bytes.deallocate() }
  }
}

extension Communicator {
  /// The bytes of rank 0 of the group, whose ranks must all be on one host, on all of them. Collective.
  ///
  /// - Parameter bytes: looked at on rank 0 only.
  /// - Throws: `MPIError`.
  public func shareBytes(_ bytes: [UInt8]) throws(MPIError) -> SharedBytes {
    let count = try broadcast(isRoot ? bytes.count : 0)
    guard size > 1, count > 0 else { return SharedBytes(copying: isRoot ? bytes : []) }
    let whole = HostMemory.headerSize + count
    let own = OwnPages(bytes: isRoot ? whole : 0)
    let words = try broadcast(own.ticket?.words ?? Ticket.none)
    // Rank 0 writes before the others may look.
    var page: UnsafeMutableRawPointer?
    if isRoot, let found = Ticket(words[...])?.map(whole) {
      bytes.withUnsafeBytes {
        (found + HostMemory.headerSize).copyMemory(from: $0.baseAddress!, byteCount: count)
      }
      page = found
    }
    try barrier()
    if !isRoot { page = Ticket(words[...])?.map(whole) }
    // The descriptor stays open until every rank has mapped it.
    let isShared = try all(page != nil)
    _ = consume own
    if isShared, let page { return SharedBytes(page: page, count: count) }
    if let page { munmap(page, whole) }
    return SharedBytes(copying: try broadcast(isRoot ? bytes : [], from: 0))
  }
}
