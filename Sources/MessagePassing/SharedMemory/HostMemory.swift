import CHostMemory
import Glibc

/// Memory that the ranks of a host share: one part of each rank, which all of them read and write.
///
/// Who writes what, and when the others may read it, is for the ranks to agree on, by counts in the same
/// memory (``count(_:of:)``) or by messages. The parts live as long as some rank holds them, and leave
/// nothing behind however ranks end.
public final class HostMemory: @unchecked Sendable {
  /// Every rank's part in rank order, aligned to 4096 bytes.
  public let parts: [UnsafeMutableRawPointer]
  /// Bytes of a part.
  public let size: Int

  private let pages: [UnsafeMutableRawPointer]
  private let counter: CollectiveCounter

  /// Before each part, a page for what keeps the ranks together: a line for the token, then one for
  /// each count.
  static let headerSize = 4096
  fileprivate static let tokenOffset = 0
  private static let line = 64
  /// Counts of a rank that are free for use.
  public static let counts = 8

  fileprivate init(pages: [UnsafeMutableRawPointer], size: Int, counter: CollectiveCounter) {
    self.pages = pages
    parts = pages.map { $0 + Self.headerSize }
    self.size = size
    self.counter = counter
  }

  deinit { for page in pages { munmap(page, Self.headerSize + size) } }

  /// A number that all ranks see and change, 0 at first; each rank's part has ``counts`` of them.
  public func count(_ index: Int, of rank: Int) -> HostCount {
    precondition((0..<Self.counts).contains(index), "a count below \(Self.counts) was expected")
    let address = pages[rank] + (index + 1) * Self.line
    return HostCount(address: address.assumingMemoryBound(to: UInt64.self))
  }

  /// Does work in which this rank waits for others, who do the same: to a watchdog one collective.
  public func together(_ name: StaticString, _ work: () -> Void) {
    counter.arrive(at: name)
    work()
    counter.leave()
  }
}

/// A number in memory that several processes see. What one wrote before it changed the number is seen
/// by whoever has read that.
public struct HostCount: @unchecked Sendable {
  fileprivate let address: UnsafeMutablePointer<UInt64>

  public var value: UInt64 { rfm_host_load(address) }

  /// Only one rank at a time may store, and none may raise meanwhile.
  public func store(_ value: UInt64) { rfm_host_store(address, value) }

  public func raise() { rfm_host_raise(address) }

  /// Raises the number if it is below `limit`.
  ///
  /// - Returns: what it was; nil if it had reached the limit.
  public func claim(below limit: UInt64) -> UInt64? {
    let value = rfm_host_claim(address, limit)
    return value < limit ? value : nil
  }

  /// Returns when the number is `value` or more.
  public func wait(for value: UInt64) {
    var pauses = Pauses()
    while self.value < value { pauses.pause() }
  }
}

extension Communicator {
  /// Memory that all ranks share, zeroed. Collective.
  ///
  /// - Parameter bytes: of each rank's part, above 0, the same on every rank.
  /// - Returns: nil on every rank if they are not all on one host, or if the system refuses some of
  ///   them the memory or the sight of each other's: what they wanted to share has to travel.
  public func shareMemory(bytes: Int) throws(MPIError) -> HostMemory? {
    precondition(bytes > 0, "a size above 0 was expected, got \(bytes)")
    guard nodeSize == size else { return nil }
    let whole = HostMemory.headerSize + bytes
    let own = OwnPages(bytes: whole)
    let tickets = try allGather(own.ticket?.words ?? Ticket.none)
    var pages: [UnsafeMutableRawPointer] = []
    for rank in 0..<size {
      let length = Ticket.none.count
      guard let ticket = Ticket(tickets[rank * length..<(rank + 1) * length]),
        let page = ticket.map(whole)
      else { break }
      pages.append(page)
    }
    let memory = HostMemory(pages: pages, size: bytes, counter: counter)
    // Descriptors stay open until every rank has mapped them.
    let isWhole = try all(pages.count == size)
    _ = consume own
    return isWhole ? memory : nil
  }
}

/// What a rank tells the others, so that they find its memory and know that it is the right one.
struct Ticket {
  var process: Int64
  var file: Int64
  var device: Int64
  var inode: Int64
  /// Stands in the memory itself.
  var token: Int64

  static let none = [Int64](repeating: -1, count: 5)

  var words: [Int64] { [process, file, device, inode, token] }

  init(process: Int64, file: Int64, status: stat, token: Int64) {
    self.process = process
    self.file = file
    device = Int64(bitPattern: UInt64(status.st_dev))
    inode = Int64(bitPattern: UInt64(status.st_ino))
    self.token = token
  }

  init?(_ words: ArraySlice<Int64>) {
    guard words != Ticket.none[...] else { return nil }
    let words = Array(words)
    (process, file, device, inode, token) = (words[0], words[1], words[2], words[3], words[4])
  }

  /// Maps `bytes` of the memory. nil where it can't be seen, as from another container, or is not what
  /// it was taken for: the numbers of processes and files mean something within one system only.
  func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let path = "/proc/\(process)/fd/\(file)"
    var status = stat()
    guard stat(path, &status) == 0, Int64(bitPattern: UInt64(status.st_dev)) == device,
      Int64(bitPattern: UInt64(status.st_ino)) == inode, status.st_size >= bytes
    else { return nil }
    let opened = open(path, O_RDWR | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    defer { close(opened) }
    guard
      let page = mmap(
        nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, opened, 0),
      page != MAP_FAILED
    else { return nil }
    guard page.load(fromByteOffset: HostMemory.tokenOffset, as: Int64.self) == token else {
      munmap(page, bytes)
      return nil
    }
    return page
  }
}

/// This rank's memory, as long as others may still look for it.
struct OwnPages: ~Copyable {
  /// nil where the system gives no memory.
  let ticket: Ticket?
  private let file: Int32

  init(bytes: Int) {
    let file = rfm_host_memory_create(bytes)
    self.file = file
    let token = Int64.random(in: .min ... .max)
    var status = stat()
    let isReady =
      file >= 0 && fstat(file, &status) == 0
      && withUnsafeBytes(of: token) {
        pwrite(file, $0.baseAddress, $0.count, off_t(HostMemory.tokenOffset)) == $0.count
      }
    ticket =
      isReady
      ? Ticket(process: Int64(getpid()), file: Int64(file), status: status, token: token) : nil
  }

  deinit { if file >= 0 { close(file) } }
}
