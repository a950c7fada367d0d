/// Addresses and sizes of rows in a file, packed: rows that lie behind one another have one address together.
///
/// The words: how many runs there are; of each its first row and the two halves of its address; then, unless
/// all rows have one size, the size of each.
public final class RowPlaces: @unchecked Sendable {
  public let words: UnsafeBufferPointer<UInt32>
  /// Bytes of every row as it is stored; `nil` where they differ.
  public let commonSize: Int?
  /// What the words are a part of, kept as long as they are read; `nil` where they are this object's own.
  private let owner: AnyObject?

  /// Rows of a run at the most, where sizes must be added up to find one.
  private static let longestRun = 64

  /// A part of something else, written by ``words`` of an object like this.
  ///
  /// - Parameter rows: how many there are.
  /// - Returns: `nil` if the words can't be those of so many rows.
  public init?(
    words: UnsafeBufferPointer<UInt32>, rows: Int, commonSize: Int?, owner: AnyObject
  ) {
    let runs = words.first.map { Int($0) } ?? 0
    guard words.count == 1 + 3 * runs + (commonSize == nil ? rows : 0), (runs > 0) == (rows > 0),
      runs == 0 || words[1] == 0, (0...1 << 31).contains(commonSize ?? 0)
    else { return nil }
    for run in 0..<runs where run > 0 {
      guard words[1 + 3 * run] > words[3 * run - 2], words[1 + 3 * run] < rows else { return nil }
    }
    self.words = words
    self.commonSize = commonSize
    self.owner = owner
  }

  /// - Parameters:
  ///   - addresses: of every row, in the order of rows.
  ///   - sizes: of every row as it is stored; one that all have.
  init(addresses: [UInt64], sizes: [UInt32]) {
    let first = sizes.first ?? 0
    let isCommon = sizes.allSatisfy { $0 == first }
    var runs: [UInt32] = []
    var start = 0
    for row in addresses.indices {
      let isNext = row > 0 && addresses[row] == addresses[row - 1] + UInt64(sizes[row - 1])
      guard !isNext || (!isCommon && row - start == Self.longestRun) else { continue }
      start = row
      let address = addresses[row]
      runs += [
        UInt32(row), UInt32(truncatingIfNeeded: address), UInt32(truncatingIfNeeded: address >> 32),
      ]
    }
    let all = [UInt32(runs.count / 3)] + runs + (isCommon ? [] : sizes)
    let copy = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: all.count)
    _ = copy.initialize(from: all)
    words = UnsafeBufferPointer(copy)
    commonSize = isCommon ? Int(first) : nil
    owner = nil
  }

  deinit { if owner == nil { words.deallocate() } }

  /// Bytes of so many rows together, as they are stored.
  func storedBytes(rows: Int) -> Int {
    if let commonSize { return rows * commonSize }
    return words.suffix(rows).reduce(0) { $0 + Int($1) }
  }

  /// Where a row lies, and how many bytes it takes there.
  func place(of row: Int) -> (offset: Int, size: Int) {
    let runs = Int(words[0])
    var (low, high) = (0, runs)
    while high - low > 1 {
      let middle = (low + high) / 2
      if Int(words[1 + 3 * middle]) <= row { low = middle } else { high = middle }
    }
    let first = Int(words[1 + 3 * low])
    let address = Int(words[2 + 3 * low]) | Int(words[3 + 3 * low]) << 32
    if let commonSize { return (address &+ (row - first) &* commonSize, commonSize) }
    let sizes = 1 + 3 * runs
    let before = (first..<row).reduce(0) { $0 + Int(words[sizes + $1]) }
    return (address &+ before, Int(words[sizes + row]))
  }
}
