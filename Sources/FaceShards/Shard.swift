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

  private struct Datasets {
    var images: HDF5Dataset
    var masks: HDF5Dataset?
    var sources: HDF5Dataset?
    var paths: HDF5Dataset?
  }

  /// `nil` while the file is closed; it is opened again when it is needed.
  private let datasets: Mutex<Datasets?>

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
    guard let version = try file.attribute("version")?.wholeNumber else {
      throw refuse("it has no whole number as its attribute version")
    }
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
    try Self.checkStorage(opened.images, path: path)

    func column(_ name: String) throws -> HDF5Dataset {
      let dataset = try file.dataset(name)
      guard dataset.shape == [count] else {
        throw refuse("\(name) have shape \(dataset.shape), expected [\(count)] as there are images")
      }
      return dataset
    }
    func integers(_ name: String) throws -> [Int64] {
      let dataset = try column(name)
      guard case .integer = dataset.type else {
        throw refuse("\(name) are \(dataset.type), expected uint8")
      }
      return try dataset.readAll(as: Int64.self)
    }

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

    let labels = try integers("labels")
    let methods = try integers("methods")
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
    if let masks = opened.masks {
      guard masks.type == .uint8, masks.shape == [count, height, width] else {
        throw refuse(
          "masks are \(masks.type) of shape \(masks.shape), expected uint8 of shape "
            + "[\(count), \(height), \(width)]")
      }
      try Self.checkStorage(masks, path: path)
    }
    hasSources = opened.sources != nil
    hasPaths = opened.paths != nil
    hasMasks = opened.masks != nil
    datasets = Mutex(opened)
  }

  private static func open(_ file: borrowing HDF5File) throws -> Datasets {
    func optional(_ name: String) throws -> HDF5Dataset? {
      try file.hasDataset(name) ? try file.dataset(name) : nil
    }
    return Datasets(
      images: try file.dataset("images"), masks: try optional("masks"),
      sources: try optional("sources"), paths: try optional("paths"))
  }

  /// Refuses what could not be read in reasonable memory or can't be there.
  private static func checkStorage(_ dataset: HDF5Dataset, path: String) throws {
    guard let bytes = dataset.count else {
      throw ShardError(file: path, reason: "\(dataset.name) have an impossible shape")
    }
    let storage = try dataset.storage()
    if let filter = storage.missingFilters.first {
      throw ShardError(
        file: path,
        reason:
          "\(dataset.name) are stored with HDF5 filter \(filter), which is not installed here; "
          + "store them with gzip or uncompressed")
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
    try withDatasets { try $0.images.readRows(rows, into: buffer) }
  }

  /// Reads the mask of image `row`: [height, width], 255 where forged. The shard must have masks.
  public func readMask(_ row: Int, into buffer: UnsafeMutableBufferPointer<UInt8>) throws {
    precondition(
      hasMasks && (0..<count).contains(row) && buffer.count >= height * width,
      "a row of a shard with masks and room for it")
    try withDatasets { try $0.masks!.readRows(row..<row + 1, into: buffer) }
  }

  /// The source of every image, or `nil` if the shard has none.
  public func readSources() throws -> [String]? {
    try withDatasets { try $0.sources?.readStrings() }
  }

  /// The path of every image, or `nil` if the shard has none.
  public func readPaths() throws -> [String]? {
    try withDatasets { try $0.paths?.readStrings() }
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
