/// Rows of a dataset, as they are met while its tree of chunks is walked through.
struct RowCollection {
  private var addresses: [UInt64] = []
  private var sizes: [UInt32] = []
  private let rowSize: Int
  private let isCompressed: Bool
  private let hasChecksum: Bool
  private var isRegular = true

  /// - Parameters:
  ///   - sizes: elements of the dataset along each axis.
  ///   - chunk: elements of a chunk along each axis, then the bytes of an element; `nil` for a dataset in
  ///     one piece.
  ///   - elementSize: bytes.
  ///   - filters: HDF5's numbers, in order.
  /// - Returns: `nil` if a row is not a piece of bytes by itself, or more is done to it than deflate and a
  ///   checksum behind that.
  init?(sizes: [UInt64], chunk: [UInt64]?, elementSize: Int, filters: [Int]) {
    guard sizes.count > 1, elementSize == 1, sizes[0] < 1 << 32,
      let row = product(Array(sizes[1...])),
      (1...1 << 30).contains(row), [[], [1], [3], [1, 3]].contains(filters),
      chunk == nil || chunk == [1] + sizes[1...] + [1]
    else { return nil }
    rowSize = Int(row)
    isCompressed = filters.contains(1)
    hasChecksum = filters.contains(3)
  }

  /// Takes the chunk at `row`; the rows must come one after another.
  mutating func add(row: UInt64, address: UInt64, bytes: UInt64, mask: UInt64) {
    // What deflate can't make smaller it makes a little larger.
    guard row == UInt64(addresses.count), mask == 0, bytes <= UInt64(rowSize) * 2 + 1024 else {
      isRegular = false
      return
    }
    addresses.append(address)
    sizes.append(UInt32(bytes))
  }

  /// - Parameter count: of the rows that there must be.
  /// - Returns: `nil` if one is missing, or stored in a way of its own.
  func rows(count: UInt64) -> StoredRows? {
    guard isRegular, UInt64(addresses.count) == count else { return nil }
    return StoredRows(
      count: Int(count), rowSize: rowSize, isCompressed: isCompressed, hasChecksum: hasChecksum,
      places: RowPlaces(addresses: addresses, sizes: sizes))
  }

  /// A dataset in one piece.
  func rows(count: UInt64, from address: UInt64) -> StoredRows? {
    guard !isCompressed, !hasChecksum else { return nil }
    let starts = count == 0 ? [] : [address]
    return StoredRows(
      count: Int(count), rowSize: rowSize, isCompressed: false, hasChecksum: false,
      places: RowPlaces(addresses: starts, sizes: starts.map { _ in UInt32(rowSize) }))
  }
}
