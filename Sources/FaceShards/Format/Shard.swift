import HierarchicalData
import Synchronization

/// One shard, open for reading. Labels and methods are in memory; images are read row by row.
///
/// Opening validates everything but the pixels: format and version, types and shapes, labels 0 or 1,
/// methods that have names, and that exactly the images of method 0 are real. See ``ShardFormat``.
public final class Shard: Sendable {
  public let path: String
  /// Number of images.
  public let count: Int
  public let height: Int
  public let width: Int
  /// This shard's own names; entry 0 is "real".
  public let methodNames: [String]
  /// 0 real, 1 fake; `count` of them.
  public let labels: [UInt8]
  /// Indices into `methodNames`; `count` of them.
  public let methods: [UInt8]
  public let hasSources: Bool
  public let hasPaths: Bool
  public let hasMasks: Bool
  /// Whether ``readFrames()``, ``readBoxes()`` and ``readLandmarks()`` give something.
  public let hasFrames: Bool
  public let hasBoxes: Bool
  public let hasLandmarks: Bool
  /// How faces were found and cut out, as JSON; `nil` where the shard doesn't say.
  public let preprocessing: String?
  /// Images that are unpacked to read one of them; 1 as ``ShardWriter`` stores them.
  public let imagesUnpackedTogether: Int
  /// The same of masks; 1 where there are none.
  public let masksUnpackedTogether: Int
  /// Whether the file's masks have a last axis of 1.
  let masksHaveFourAxes: Bool

  private struct Datasets {
    var images: HDF5Dataset
    var masks: HDF5Dataset?
    var sources: HDF5Dataset?
    var paths: HDF5Dataset?
    var frames: HDF5Dataset?
    var boxes: HDF5Dataset?
    var landmarks: HDF5Dataset?
  }

  /// `nil` while the file is closed; it is opened again when it is needed.
  private let datasets: Mutex<Datasets?>
  /// Where reading one row unpacks others: those, kept.
  private let unpackedImages: UnpackedRows?
  private let unpackedMasks: UnpackedRows?
  /// What the values of the masks mean, once that is known.
  private let scale: Mutex<MaskScale?>

  /// Opens and validates a shard.
  public init(reading path: String) throws {
    self.path = path
    func refuse(_ reason: String) -> ShardError { ShardError(file: path, reason: reason) }
    let file = try HDF5File(reading: path)
    guard let format = try file.attribute("format") else {
      throw refuse("it is not a shard: it has no attribute format")
    }
    guard format.text == ShardFormat.name else {
      throw refuse("it is not a shard: its format is \"\(format.description.prefix(40))\"")
    }
    let version = try Self.version(file)
    guard version == Int64(ShardFormat.version) else {
      throw refuse(
        "its format version is \(version), this program reads version \(ShardFormat.version)")
    }

    let opened = try Self.open(file)
    let shape = opened.images.shape
    guard opened.images.type == .uint8, shape.count == 4, shape[3] == 3 else {
      throw refuse(
        "images are \(opened.images.type) of shape \(shape), expected uint8 of shape [N, H, W, 3]")
    }
    let (count, height, width) = (shape[0], shape[1], shape[2])
    guard (1...ShardFormat.sideLimit).contains(height), (1...ShardFormat.sideLimit).contains(width)
    else {
      throw refuse(
        "images are \(height)x\(width) pixels, expected sides of 1 to \(ShardFormat.sideLimit)")
    }
    imagesUnpackedTogether = try Self.checkStorage(opened.images, path: path)

    let names = try file.dataset("method_names").readStrings(limit: 1 << 20)
    guard names.first == ShardFormat.real else {
      throw refuse(
        "method_names begin with \(names.first.map { "\"\($0)\"" } ?? "nothing"), expected \"real\""
      )
    }
    guard names.count <= ShardFormat.methodLimit else {
      throw refuse("there are \(names.count) method_names, more than \(ShardFormat.methodLimit)")
    }
    guard !names.contains("") else { throw refuse("one of the method_names is empty") }
    var known = Set<String>()
    for name in names where !known.insert(name).inserted {
      throw refuse("method_names list \"\(name)\" twice")
    }

    let labels = try ShardColumn(
      file.dataset("labels"), count: count, row: "label", expected: "0 (real) or 1 (fake)",
      path: path
    ).classes {
      LabelNames.label($0)
    } unknown: { row, name in
      refuse(
        "row \(row): the label is \(name.map { "\"\($0)\"" } ?? "a number without one name"), "
          + "expected a name such as \"real\" or \"fake\", or the numbers 0 and 1 without names")
    }
    let methods = try ShardColumn(
      file.dataset("methods"), count: count, row: "method", expected: "an index into method_names",
      path: path
    ).classes { name in
      names.firstIndex(of: name).map(Int64.init)
    } unknown: { row, name in
      refuse(
        "row \(row): the method is \(name.map { "\"\($0)\"" } ?? "a number without one name"), "
          + "which is none of the method_names")
    }
    for row in 0..<count {
      guard labels[row] == 0 || labels[row] == 1 else {
        throw refuse("row \(row): the label is \(labels[row]), expected 0 (real) or 1 (fake)")
      }
      guard methods[row] >= 0, methods[row] < names.count else {
        throw refuse(
          "row \(row): the method is \(methods[row]), but there are \(names.count) method_names")
      }
      guard (labels[row] == 0) == (methods[row] == 0) else {
        throw refuse(
          "row \(row): the label is \(labels[row] == 0 ? "real" : "fake"), but the method is "
            + "\"\(names[Int(methods[row])])\"")
      }
    }
    (self.count, self.height, self.width) = (count, height, width)
    self.labels = labels.map { UInt8($0) }
    self.methods = methods.map { UInt8($0) }
    methodNames = names

    for (name, dataset) in [("sources", opened.sources), ("paths", opened.paths)] {
      guard let dataset else { continue }
      guard case .string = dataset.type else {
        throw refuse("\(name) are \(dataset.type), expected strings")
      }
      guard dataset.shape == [count] else {
        throw refuse("\(name) have shape \(dataset.shape), expected [\(count)] as there are images")
      }
    }
    for (dataset, row) in [
      (opened.frames, []), (opened.boxes, [4]), (opened.landmarks, [FaceOrigin.landmarkCount, 2]),
    ] {
      guard let dataset else { continue }
      switch dataset.type {
      case .integer: break
      case .floatingPoint where dataset.name != "frames": break
      default:
        throw refuse(
          "\(dataset.name) are \(dataset.type), expected"
            + (dataset.name == "frames" ? " whole" : "") + " numbers")
      }
      guard dataset.shape == [count] + row else {
        throw refuse(
          "\(dataset.name) have shape \(dataset.shape), expected \([count] + row)"
            + " as there are images")
      }
      if let reason = try dataset.storage().unreadableBecause {
        throw refuse("\(dataset.name) are \(reason)")
      }
    }
    switch try file.attribute(ShardFormat.preprocessing) {
    case nil: preprocessing = nil
    case let value?:
      guard let text = value.text, text.utf8.count <= 1 << 16 else {
        throw refuse("its attribute \(ShardFormat.preprocessing) is no text of at most 64 KiB")
      }
      preprocessing = text
    }
    func unpacked(_ together: Int, rowSize: Int) -> UnpackedRows? {
      together > 1 ? UnpackedRows(count: count, rowSize: rowSize, together: together) : nil
    }
    var scale: MaskScale?
    var masksTogether = 1
    if let masks = opened.masks {
      scale = try MaskScale.ofType(masks, count: count, height: height, width: width, path: path)
      masksTogether = try Self.checkStorage(masks, path: path)
    }
    masksUnpackedTogether = masksTogether
    masksHaveFourAxes = opened.masks?.shape.count == 4
    unpackedMasks = unpacked(masksTogether, rowSize: height * width)
    unpackedImages = unpacked(imagesUnpackedTogether, rowSize: height * width * 3)
    self.scale = Mutex(scale)
    hasSources = opened.sources != nil
    hasPaths = opened.paths != nil
    hasMasks = opened.masks != nil
    hasFrames = opened.frames != nil
    hasBoxes = opened.boxes != nil
    hasLandmarks = opened.landmarks != nil
    datasets = Mutex(opened)
  }

  private static func open(_ file: borrowing HDF5File) throws -> Datasets {
    func optional(_ name: String, chunkCache: Int? = nil) throws -> HDF5Dataset? {
      try file.hasDataset(name) ? try file.dataset(name, chunkCache: chunkCache) : nil
    }
    // The library's chunks would be kept beside ours, for every open shard.
    return Datasets(
      images: try file.dataset("images", chunkCache: 0),
      masks: try optional("masks", chunkCache: 0), sources: try optional("sources"),
      paths: try optional("paths"), frames: try optional("frames"), boxes: try optional("boxes"),
      landmarks: try optional("landmarks"))
  }

  /// The attribute `version`.
  private static func version(_ file: borrowing HDF5File) throws -> Int64 {
    let value = try file.attribute("version")
    if let number = value?.wholeNumber { return number }
    if case .number(let number)? = value, let whole = Int64(exactly: number) { return whole }
    let found =
      switch value {
      case nil: ""
      case .string(let text)?: ", but the text \"\(text.prefix(40))\""
      case .strings(let texts)? where texts.count == 1: ", but the text \"\(texts[0].prefix(40))\""
      case .strings?: ", but texts"
      case .integers?, .numbers?: ", but several numbers"
      case let other?: ", but \(other)"
      }
    throw ShardError(
      file: file.path,
      reason: "it has no whole number as its attribute version\(found), expected "
        + "\(ShardFormat.version)")
  }

  /// Refuses what could not be read in reasonable memory or can't be there.
  ///
  /// - Returns: rows that are unpacked to read one of them.
  private static func checkStorage(_ dataset: HDF5Dataset, path: String) throws -> Int {
    guard let bytes = dataset.count else {
      throw ShardError(file: path, reason: "\(dataset.name) have an impossible shape")
    }
    let storage = try dataset.storage()
    if let reason = storage.unreadableBecause {
      throw ShardError(file: path, reason: "\(dataset.name) are \(reason)")
    }
    // Deflate makes at most 1032 bytes of one.
    guard bytes == 0 || storage.layout == .virtual || bytes / 1100 <= storage.storedBytes else {
      throw ShardError(
        file: path,
        reason: "\(dataset.name) declare \(bytes) bytes, but the file holds only "
          + "\(storage.storedBytes) of them")
    }
    let chunk = storage.chunk.reduce(1.0) { $0 * Double($1) }
    guard chunk <= Double(1 << 30) else {
      throw ShardError(
        file: path,
        reason: "\(dataset.name) are stored in chunks of more than 1 GiB; store one image a chunk")
    }
    return storage.rowsUnpackedTogether
  }

  /// Runs `body` on the datasets, opening the file if it is closed.
  private func withDatasets<Result>(
    _ body: (Datasets) throws -> Result
  ) throws -> Result {
    let opened = try datasets.withLock { slot in
      if let slot { return slot }
      let opened = try Self.open(try HDF5File(reading: path))
      guard opened.images.shape == [count, height, width, 3] else {
        throw ShardError(file: path, reason: "it was replaced by another shard while it was in use")
      }
      slot = opened
      return opened
    }
    return try body(opened)
  }

  /// Closes the file until it is needed again.
  public func close() { datasets.withLock { $0 = nil } }

  /// Whether the file is open.
  public var isOpen: Bool { datasets.withLock { $0 != nil } }

  /// Bytes of one image.
  public var imageSize: Int { height * width * 3 }

  /// Reads image `row`: [height, width, 3] RGB.
  public func readImage(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    try readImages(row..<row + 1, into: buffer)
  }

  /// Reads consecutive images, densely: [rows, height, width, 3] RGB.
  public func readImages(
    _ rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<UInt8>
  ) throws {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= count && buffer.count >= rows.count * imageSize,
      "rows \(rows) of \(count) and room for them")
    guard let unpackedImages else {
      return try withDatasets { try $0.images.readRows(rows, into: buffer) }
    }
    try unpackedImages.copy(rows, into: buffer) { rows, block in
      try withDatasets { try $0.images.readRows(rows, into: block) }
    }
  }

  /// Reads the mask of image `row`: [height, width], forged where it is at least 128, whatever values
  /// the file has for that (see ``maskScale()``). The shard must have masks.
  public func readMask(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    try readStoredMask(row, into: buffer)
    try maskScale().normalise(.init(rebasing: buffer[..<(height * width)]))
  }

  /// Reads the mask of image `row` as it is in the file.
  func readStoredMask(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    precondition(
      hasMasks && (0..<count).contains(row) && buffer.count >= height * width,
      "a row of a shard with masks and room for it")
    let rows = row..<row + 1
    guard let unpackedMasks else {
      return try withDatasets { try $0.masks!.readRows(rows, into: buffer) }
    }
    try unpackedMasks.copy(rows, into: buffer) { rows, block in
      try withDatasets { try $0.masks!.readRows(rows, into: block) }
    }
  }

  /// Why the masks mark nothing of its fake images, naming the file; `nil` where they do, or where nobody
  /// has read one yet.
  public var maskProblem: String? {
    guard labels.contains(1), let problem = scale.withLock({ $0?.problem }) else { return nil }
    return "\(path): \(problem)"
  }

  /// What the values of the masks mean. The shard must have masks.
  ///
  /// Bytes of 0 and 1 are told from bytes of 0 and 255 by the values of the whole shard, never of one
  /// image: a mask that was a JPEG may have small values only. The masks of fake images are looked through
  /// first, and the first value of 128 or more decides, so of most shards one mask is read.
  public func maskScale() throws -> MaskScale {
    try scale.withLock { known in
      if let known { return known }
      var mask = [UInt8](repeating: 0, count: height * width)
      var maximum: UInt8 = 0
      for label: UInt8 in [1, 0] where maximum < 128 {
        for row in 0..<count where labels[row] == label {
          try mask.withUnsafeMutableBufferPointer { try readStoredMask(row, into: $0) }
          for value in mask { maximum = max(maximum, value) }
          if maximum >= 128 { break }
        }
      }
      let found: MaskScale =
        maximum >= 128
        ? .bytes : maximum > 1 ? .unknown(maximum: maximum) : maximum == 1 ? .ones : .empty
      known = found
      return found
    }
  }

  /// The source of every image, or `nil` if the shard has none.
  public func readSources() throws -> [String]? {
    try withDatasets { try $0.sources?.readStrings() }
  }

  /// The path of every image, or `nil` if the shard has none.
  public func readPaths() throws -> [String]? {
    try withDatasets { try $0.paths?.readStrings() }
  }

  /// The frame of its video that every image is, ``FaceOrigin/noFrame`` for none; `nil` if the shard
  /// doesn't say.
  public func readFrames() throws -> [Int32]? {
    try withDatasets { try $0.frames?.readAll(as: Int32.self) }
  }

  /// The detected face of every image: [count, 4], see ``FaceOrigin/box``; `nil` if the shard has none.
  public func readBoxes() throws -> [Float]? {
    try withDatasets { try $0.boxes?.readAll(as: Float.self) }
  }

  /// The landmarks of image `row`, in its pixels; `nil` if the shard has none.
  public func readLandmarks(_ row: Int) throws -> [SIMD2<Float>]? {
    precondition((0..<count).contains(row), "a row of the shard")
    return try withDatasets { datasets in
      guard let landmarks = datasets.landmarks else { return nil }
      var values = [Float](repeating: 0, count: FaceOrigin.landmarkCount * 2)
      try values.withUnsafeMutableBufferPointer {
        try landmarks.readRows(row..<row + 1, into: $0)
      }
      return (0..<FaceOrigin.landmarkCount).map { SIMD2(values[2 * $0], values[2 * $0 + 1]) }
    }
  }

  // What inspection needs.

  /// How the images are stored.
  func imageStorage() throws -> HDF5Storage { try withDatasets { try $0.images.storage() } }
  /// How many chunks of images, and of masks, were written; `nil` where there are no chunks.
  func writtenChunks() throws -> (images: Int?, masks: Int?) {
    func count(_ dataset: HDF5Dataset?) throws -> Int? {
      guard let dataset, try dataset.storage().layout == .chunked else { return nil }
      return try dataset.writtenChunks()
    }
    return try withDatasets { (try count($0.images), try count($0.masks)) }
  }
  func maskStorage() throws -> HDF5Storage? { try withDatasets { try $0.masks?.storage() } }
}
