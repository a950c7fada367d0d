import Synchronization

/// Rows of datasets that are stored many to a packed chunk, unpacked and kept for those that ask next.
///
/// To read one row of such a dataset is to unpack all rows of its chunk. So as many as fit into a block
/// are unpacked together, and all datasets of a process share the room for blocks: what was not used for
/// the longest time goes first. In the order of rows every chunk is unpacked once (every block of it,
/// where it is larger than one), and in random order once as long as the room holds them all.
final class UnpackedRows: Sendable {
  /// Bytes that a process keeps, of all its shards together.
  static let room = 256 << 20
  /// The most bytes of a block.
  static let blockLimit = room / 4

  private let count: Int
  private let rowSize: Int
  /// Rows of the first axis of a chunk.
  private let band: Int
  /// Rows of a block; a band is one or several of them.
  private let blockRows: Int
  private let cache: Cache
  private let identity: Int
  /// One thread unpacks, the others wait for it instead of doing the same.
  private let unpacking = Mutex(())

  /// - Parameters:
  ///   - rowSize: bytes of a row.
  ///   - together: rows that are unpacked to read one of them.
  init(
    count: Int, rowSize: Int, together: Int, blockLimit: Int = UnpackedRows.blockLimit,
    cache: Cache = .shared
  ) {
    self.count = count
    self.rowSize = rowSize
    band = max(1, min(together, count))
    let fitting = max(1, blockLimit / max(1, rowSize))
    // Blocks of about the same size.
    let parts = (band + fitting - 1) / fitting
    blockRows = (band + parts - 1) / parts
    self.cache = cache
    identity = cache.newIdentity()
  }

  deinit { cache.remove(identity) }

  /// The rows of the block that has `row`.
  private func block(of row: Int) -> Range<Int> {
    let start = row / band * band
    let first = start + (row - start) / blockRows * blockRows
    return first..<min(first + blockRows, start + band, count)
  }

  /// Copies rows, unpacked by `read` where they are not kept.
  func copy(
    _ rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<UInt8>,
    read: (Range<Int>, UnsafeMutableBufferPointer<UInt8>) throws -> Void
  ) throws {
    var row = rows.lowerBound
    while row < rows.upperBound {
      let range = block(of: row)
      let end = min(range.upperBound, rows.upperBound)
      let block = try kept(range, read)
      let (first, last) = (row - range.lowerBound, end - range.lowerBound)
      let source = UnsafeRawBufferPointer(
        rebasing: block.bytes[first * rowSize..<last * rowSize])
      let place = (row - rows.lowerBound) * rowSize
      UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[place...])
        .copyMemory(from: source)
      row = end
    }
  }

  private func kept(
    _ rows: Range<Int>, _ read: (Range<Int>, UnsafeMutableBufferPointer<UInt8>) throws -> Void
  ) throws -> Block {
    let key = Cache.Key(identity: identity, row: rows.lowerBound)
    if let block = cache.block(key) { return block }
    return try unpacking.withLock { _ in
      if let block = cache.block(key) { return block }
      // Before it is allocated, so that there is never more than the room.
      cache.makeRoom(for: rows.count * rowSize)
      let block = Block(size: rows.count * rowSize)
      try read(rows, block.bytes.bindMemory(to: UInt8.self))
      cache.add(block, key)
      return block
    }
  }

  /// Rows side by side, read-only once they are there.
  final class Block: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    init(size: Int) { bytes = .allocate(byteCount: size, alignment: 64) }
    deinit { bytes.deallocate() }
  }

  /// Blocks of several datasets in a room of one size.
  final class Cache: Sendable {
    static let shared = Cache(room: UnpackedRows.room)

    struct Key: Hashable {
      var identity: Int
      var row: Int
    }

    private struct State {
      var blocks: [Key: (block: Block, use: Int)] = [:]
      var size = 0
      var uses = 0
      var identities = 0
    }

    private let room: Int
    private let state = Mutex(State())

    init(room: Int) { self.room = room }

    /// Bytes that are kept.
    var size: Int { state.withLock { $0.size } }

    func newIdentity() -> Int {
      state.withLock { state in
        state.identities += 1
        return state.identities
      }
    }

    func block(_ key: Key) -> Block? {
      state.withLock { state in
        guard let found = state.blocks[key]?.block else { return nil }
        state.uses += 1
        state.blocks[key]!.use = state.uses
        return found
      }
    }

    /// Lets blocks go until so many bytes more fit: the longest unused first, and some more of them, so
    /// that they are not sorted for each.
    func makeRoom(for size: Int) {
      state.withLock { state in
        guard state.size + size > room else { return }
        let wanted = max(0, room - size - room / 8)
        for (key, entry) in state.blocks.sorted(by: { $0.value.use < $1.value.use }) {
          guard state.size > wanted else { break }
          state.size -= entry.block.bytes.count
          state.blocks[key] = nil
        }
      }
    }

    func add(_ block: Block, _ key: Key) {
      state.withLock { state in
        state.uses += 1
        state.size += block.bytes.count
        state.blocks[key] = (block, state.uses)
      }
    }

    func remove(_ identity: Int) {
      state.withLock { state in
        for (key, entry) in state.blocks where key.identity == identity {
          state.size -= entry.block.bytes.count
          state.blocks[key] = nil
        }
      }
    }
  }
}
