import Foundations

/// Reads dlib's serialised `shape_predictor`, and believes nothing in it: sizes are held against the bytes
/// that are left and against what a landmark model can have, indices against what they point into.
///
/// An integer is a byte that says how many bytes follow, with the sign in its highest bit, and these,
/// lowest first; a real number is two of them, mantissa and binary exponent; a vector is its length and its
/// elements; a matrix minus its rows, minus its columns, and its elements. The model: version 1, the mean
/// shape, forests of trees (splits and leaves), anchors, offsets.
struct LandmarkFile {
  /// Bytes of a file: the published ones have 100 and 20 million.
  static let maximumSize = 512 << 20
  static let maximumForests = 64
  static let maximumTrees = 8192
  static let maximumFeatures = 1 << 14
  static let maximumLeaves = 1 << 10
  /// Models of 68 points and of 81, whose first 68 are the same.
  static let pointCounts = [68, 81]

  /// Reads the file's model and its SHA-256.
  static func read(_ path: String) throws -> (LandmarkCascade, digest: String) {
    let reader = try FileReader(opening: path)
    func refused(_ detail: String) -> FaceError { FaceError(file: path, detail: detail) }
    guard reader.size <= maximumSize else {
      throw refused(
        "\(reader.size) bytes are no landmark model of dlib, which has at most \(maximumSize)")
    }
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(reader.size, 1), alignment: 16)
    defer { bytes.deallocate() }
    let length = try reader.read(into: .init(rebasing: bytes[..<reader.size]), at: 0)
    let content = UnsafeRawBufferPointer(rebasing: bytes[..<length])
    if content.starts(with: [0x42, 0x5A, 0x68]) {
      throw refused("is compressed: unpack it first, as in bunzip2 FILE.dat.bz2")
    }
    var file = LandmarkFile(content)
    do {
      let cascade = try file.cascade()
      var hash = SHA256()
      hash.update(content)
      return (cascade, hash.hexadecimal())
    } catch let problem as Problem {
      throw refused(problem.detail(offset: file.offset))
    }
  }

  enum Problem: Error {
    case cutShort
    case unexpected(String)
    /// A model, but of another kind.
    case other(String)

    func detail(offset: Int) -> String {
      switch self {
      case .cutShort: "is no landmark model of dlib, or cut short: ends in a number"
      case .unexpected(let what):
        "is no landmark model of dlib, or damaged: \(what) before byte \(offset)"
      case .other(let what): what
      }
    }
  }

  private let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private mutating func integer() throws -> Int {
    guard offset < bytes.count else { throw Problem.cutShort }
    let control = bytes[offset]
    let count = Int(control & 0x0F)
    guard control & 0x70 == 0, count <= 8 else {
      throw Problem.unexpected("\(control) for the size of a number")
    }
    guard count < bytes.count - offset else { throw Problem.cutShort }
    var value: UInt64 = 0
    for place in 0..<count { value |= UInt64(bytes[offset + 1 + place]) << (8 * UInt64(place)) }
    offset += 1 + count
    guard value <= UInt64(Int.max) else { throw Problem.unexpected("\(value)") }
    return control & 0x80 == 0 ? Int(value) : -Int(value)
  }

  private mutating func number() throws -> Float {
    let mantissa = try integer()
    let exponent = try integer()
    // Larger ones stand for what is not finite.
    guard abs(exponent) < 32000 else { throw Problem.unexpected("a number that is not finite") }
    let value = Float(sign: .plus, exponent: exponent, significand: Float(mantissa))
    guard value.isFinite else { throw Problem.unexpected("a number that is not finite") }
    return value
  }

  /// A length, each element of which takes at least `least` bytes.
  private mutating func length(_ range: ClosedRange<Int>, of what: String, least: Int) throws -> Int
  {
    let count = try integer()
    guard range.contains(count) else { throw Problem.unexpected("\(count) \(what)") }
    guard count <= (bytes.count - offset) / least else { throw Problem.cutShort }
    return count
  }

  /// The rows of a matrix of one column.
  private mutating func rows() throws -> Int {
    let (rows, columns) = (abs(try integer()), abs(try integer()))
    guard columns == 1 else { throw Problem.unexpected("a matrix of \(columns) columns") }
    return rows
  }

  private mutating func cascade() throws -> LandmarkCascade {
    let version = try integer()
    guard version == 1 else { throw Problem.unexpected("version \(version)") }
    let rows = try rows()
    guard Self.pointCounts.contains(rows / 2), rows % 2 == 0 else {
      guard rows % 2 == 0, (1...4096).contains(rows / 2) else {
        throw Problem.unexpected("a mean shape of \(rows) numbers")
      }
      throw Problem.other(
        "is a model of \(rows / 2) landmarks: one of 68 is needed, or of 81 whose first 68 are these"
      )
    }
    var shape: [SIMD2<Float>] = []
    for _ in 0..<rows / 2 { shape.append(SIMD2(try number(), try number())) }
    let forestCount = try length(1...Self.maximumForests, of: "forests", least: 1)
    var leaves: Int?
    var forests: [LandmarkCascade.Forest] = []
    for _ in 0..<forestCount { forests.append(try forest(rows: rows, leaves: &leaves)) }
    try features(of: &forests, points: rows / 2)
    guard offset == bytes.count else { throw Problem.unexpected("more than a model") }
    return LandmarkCascade(meanShape: shape, leavesOfATree: leaves!, forests: forests)
  }

  private mutating func forest(rows: Int, leaves: inout Int?) throws -> LandmarkCascade.Forest {
    let trees = try length(1...Self.maximumTrees, of: "trees", least: 2)
    var forest = LandmarkCascade.Forest(splits: [], leaves: [])
    for tree in 0..<trees {
      let splits = try length(0...Self.maximumLeaves - 1, of: "splits", least: 4)
      for _ in 0..<splits {
        let (first, second) = (try integer(), try integer())
        guard let first = UInt16(exactly: first), let second = UInt16(exactly: second) else {
          throw Problem.unexpected("feature \(max(first, second))")
        }
        forest.splits.append(.init(first: first, second: second, threshold: try number()))
      }
      let count = try length(1...Self.maximumLeaves, of: "leaves", least: rows * 2)
      guard count == splits + 1, count & splits == 0, count == leaves ?? count else {
        throw Problem.unexpected("\(count) leaves for \(splits) splits")
      }
      leaves = count
      if tree == 0 {
        // What all its trees take, as far as the file can have it.
        forest.leaves.reserveCapacity(min(trees * count * rows, (bytes.count - offset) / 2))
        forest.splits.reserveCapacity(min(trees * splits, (bytes.count - offset) / 4))
      }
      for _ in 0..<count {
        let found = try self.rows()
        guard found == rows else { throw Problem.unexpected("a leaf of \(found) numbers") }
        for _ in 0..<rows { forest.leaves.append(try number()) }
      }
    }
    return forest
  }

  private mutating func features(of forests: inout [LandmarkCascade.Forest], points: Int) throws {
    let anchored = try integer()
    guard anchored == forests.count else {
      throw Problem.unexpected("\(anchored) lists of anchors")
    }
    for index in forests.indices {
      let count = try length(1...Self.maximumFeatures, of: "anchors", least: 1)
      for _ in 0..<count {
        let anchor = try integer()
        guard (0..<points).contains(anchor) else { throw Problem.unexpected("anchor \(anchor)") }
        forests[index].features.append(.init(landmark: anchor, offset: .zero))
      }
      let used = forests[index].splits.map { max($0.first, $0.second) }.max()
      guard used.map({ Int($0) < count }) ?? true else {
        throw Problem.unexpected("feature \(used!) of \(count)")
      }
    }
    let offsets = try integer()
    guard offsets == forests.count else { throw Problem.unexpected("\(offsets) lists of offsets") }
    for index in forests.indices {
      let count = try integer()
      guard count == forests[index].features.count else {
        throw Problem.unexpected("\(count) offsets")
      }
      for feature in 0..<count {
        forests[index].features[feature].offset = SIMD2(try number(), try number())
      }
    }
  }
}
