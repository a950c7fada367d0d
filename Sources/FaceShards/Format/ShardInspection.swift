import HierarchicalData

/// What a shard holds, in numbers.
public struct ShardInspection: Sendable, Equatable {
  /// Images of one method.
  public struct MethodCount: Sendable, Equatable {
    public var name: String
    public var count: Int
  }

  public let count: Int
  public let height: Int
  public let width: Int
  /// Images of every method, in the shard's order; the first are the real ones.
  public let methods: [MethodCount]
  /// How many different sources there are; `nil` if the shard has none.
  public let sourceCount: Int?
  public let hasPaths: Bool
  /// Videos whose frames are told, and those frames; `nil` where the shard tells no frames.
  public let frames: String?
  /// What is known of where the faces were, in words; `nil` where nothing is.
  public let boxes: String?
  public let hasLandmarks: Bool
  /// As the shard says it.
  public let preprocessing: String?
  public let images: HDF5Storage
  public let masks: HDF5Storage?
  /// What the masks hold, in words; `nil` where there are none.
  public let maskContents: String?
  /// What reading an image in random order costs and how that is mended; `nil` where it costs nothing
  /// more.
  public let unpacking: String?

  public init(of shard: Shard) throws {
    count = shard.count
    height = shard.height
    width = shard.width
    var counts = [Int](repeating: 0, count: shard.methodNames.count)
    for method in shard.methods { counts[Int(method)] += 1 }
    methods = zip(shard.methodNames, counts).map { MethodCount(name: $0, count: $1) }
    sourceCount = try shard.readSources().map { Set($0).count }
    hasPaths = shard.hasPaths
    frames = try Self.frames(of: shard)
    boxes = try Self.boxes(of: shard)
    hasLandmarks = shard.hasLandmarks
    preprocessing = shard.preprocessing
    images = try shard.imageStorage()
    masks = try shard.maskStorage()
    maskContents = shard.hasMasks ? try Self.maskContents(of: shard) : nil
    unpacking = shard.unpackingInWords.flatMap { cost in
      shard.repacking.map { "\(cost); to store one a chunk: \($0)" }
    }
  }

  private static func frames(of shard: Shard) throws -> String? {
    guard let frames = try shard.readFrames() else { return nil }
    let known = frames.filter { $0 >= 0 }
    guard let first = known.min(), let last = known.max() else { return "of no video" }
    let others = frames.count - known.count
    return "\(known.count) of videos, numbered \(first) to \(last)"
      + (others > 0 ? ", and \(others) others" : "")
  }

  private static func boxes(of shard: Shard) throws -> String? {
    guard let boxes = try shard.readBoxes() else { return nil }
    let widths: [Float] = (0..<boxes.count / 4).map { face in
      boxes[4 * face + 2] - boxes[4 * face] + 1
    }.filter { $0.magnitude < 1e9 }.sorted()
    guard let least = widths.first, let most = widths.last else { return "none is known" }
    let median = widths[widths.count / 2]
    return "faces \(Int(least)) to \(Int(most)) pixels wide in their images, median \(Int(median))"
  }

  /// Damage is told, and hides nothing of the rest.
  private static func maskContents(of shard: Shard) throws -> String {
    do { return try MaskContents(of: shard).line } catch let error as HDF5Error {
      if error.isInputOutput { throw error }
      return "what can't be read: \(error.action): \(error.reason)"
    }
  }

  /// The description, line by line.
  public var lines: [String] {
    let real = methods[0].count
    var lines = [
      "shard of \(count) images, \(height)x\(width) pixels",
      "  labels: \(real) real, \(count - real) fake",
      "  methods: " + methods.map { "\($0.name) \($0.count)" }.joined(separator: ", "),
      "  sources: " + (sourceCount.map { "\($0) different" } ?? "none"),
      "  paths: " + (hasPaths ? "yes" : "none"),
      "  images: \(images)",
    ]
    lines.append("  masks: " + (masks.map { "\($0)" } ?? "none"))
    if let maskContents { lines.append("  masks hold: \(maskContents)") }
    if let frames { lines.append("  frames: \(frames)") }
    if let boxes { lines.append("  boxes: \(boxes)") }
    if hasLandmarks { lines.append("  landmarks: \(FaceOrigin.landmarkCount) a face") }
    if let preprocessing { lines.append("  preprocessing: \(preprocessing)") }
    if let unpacking { lines.append("  slow to read in random order: \(unpacking)") }
    return lines
  }

  /// Reads every image and mask of some rows and says what is wrong with them, one line each that
  /// names the row: what can't be read or whose checksum fails, masks of real images that mark
  /// something as forged, and masks of fake ones that mark nothing.
  ///
  /// - Parameters:
  ///   - rows: `nil` for all, in which case it is also checked that every chunk was written.
  ///   - progress: called after every row with the number of rows done.
  public static func problems(
    of shard: Shard, rows: Range<Int>? = nil, progress: (Int) -> Void = { _ in }
  ) throws -> [String] {
    var problems: [String] = []
    func attempt(_ body: () throws -> Void) throws {
      do { try body() } catch let error as HDF5Error {
        if error.isInputOutput { throw error }
        problems.append("\(error)")
      }
    }
    if rows == nil || rows?.lowerBound == 0 {
      try attempt {
        let storages = [("images", try shard.imageStorage()), ("masks", try shard.maskStorage())]
        let written = try shard.writtenChunks()
        for ((name, storage), chunks) in zip(storages, [written.images, written.masks]) {
          guard let storage, let chunks else { continue }
          let shape = [shard.count, shard.height, shard.width, 3]
          let expected = zip(shape, storage.chunk).reduce(1) { $0 * (($1.0 + $1.1 - 1) / $1.1) }
          if chunks != expected {
            problems.append(
              "\(shard.path): \(chunks) of \(expected) chunks of \(name) were ever written; the "
                + "others read as black")
          }
        }
      }
    }
    // Of all masks together, so that every rank finds the same.
    var markNothing = false
    if shard.hasMasks {
      try attempt {
        _ = try shard.maskScale()
        if let problem = shard.maskProblem {
          problems.append(problem)
          markNothing = true
        }
      }
    }
    var bytes = [UInt8](repeating: 0, count: shard.imageSize)
    for (done, row) in (rows ?? 0..<shard.count).enumerated() {
      try bytes.withUnsafeMutableBufferPointer { buffer in
        try attempt { try shard.readImage(row, into: buffer) }
        if shard.hasMasks {
          try attempt {
            try shard.readMask(row, into: buffer)
            let isMarked = buffer[..<(shard.height * shard.width)].contains { $0 >= 128 }
            if shard.labels[row] == 0, isMarked {
              problems.append(
                "\(shard.path): row \(row): the image is real, but its mask is not empty")
            } else if shard.labels[row] != 0, !isMarked, !markNothing {
              problems.append(
                "\(shard.path): row \(row): the image is fake, but its mask marks nothing")
            }
          }
        }
      }
      progress(done + 1)
    }
    return problems
  }
}
