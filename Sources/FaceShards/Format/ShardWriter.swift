import Foundation
import Foundations
import HierarchicalData

/// Writes one shard, image by image.
///
/// The file grows under a name of its own beside the final one (`.NAME.partial`) and takes the final
/// name in ``finish()``, after everything has reached the disk: a reader never sees half a shard. A
/// writer that goes without having finished removes what it wrote.
///
/// ```swift
/// let writer = try ShardWriter(
///   path: "train-00000.h5", height: 256, width: 256, methodNames: ["real", "blend"])
/// try writer.append(image: pixels, method: 1, source: "video-7")
/// try writer.finish()
/// ```
public final class ShardWriter {
  /// The final name.
  public let path: String
  public let height: Int
  public let width: Int
  public let methodNames: [String]
  /// How many images have been appended.
  public private(set) var count = 0

  private let partialPath: String
  private var file: HDF5File?
  private var images: HDF5Dataset?
  private var masks: HDF5Dataset?
  private var methods: [UInt8] = []
  private var sources: [String]?
  private var paths: [String]?
  private var origins: FaceOriginColumns?

  /// - Parameters:
  ///   - path: the shard's final name; a file of this name is replaced when the shard is finished.
  ///   - height: of all images, in pixels.
  ///   - width: of all images, in pixels.
  ///   - methodNames: names of the manipulation methods; entry 0 is "real".
  ///   - gzip: level of compression of images and masks, 0...9; `nil` for none.
  ///   - hasSources: whether every image is appended with its source.
  ///   - hasPaths: whether every image is appended with its path.
  ///   - hasMasks: whether every image is appended with its mask.
  ///   - hasOrigins: whether every image is appended with where it was found.
  ///   - hasLandmarks: whether the origins have landmarks.
  ///   - preprocessing: how faces were found and cut out, as JSON.
  public init(
    path: String, height: Int, width: Int, methodNames: [String], gzip: Int? = nil,
    hasSources: Bool = true, hasPaths: Bool = false, hasMasks: Bool = false,
    hasOrigins: Bool = false, hasLandmarks: Bool = false, preprocessing: String? = nil
  ) throws {
    precondition(
      (1...ShardFormat.sideLimit).contains(height) && (1...ShardFormat.sideLimit).contains(width),
      "images have sides of 1...\(ShardFormat.sideLimit) pixels, not \(height)x\(width)")
    precondition(
      methodNames.first == ShardFormat.real && methodNames.count <= ShardFormat.methodLimit
        && Set(methodNames).count == methodNames.count && !methodNames.contains(""),
      "method names are 1...\(ShardFormat.methodLimit) different ones, the first of them real")
    self.path = path
    self.height = height
    self.width = width
    self.methodNames = methodNames
    // By bytes: a name may begin with a mark, which makes another character of the "/".
    let slash =
      path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) }
      ?? path.startIndex
    partialPath = "\(path[..<slash]).\(path[slash...]).partial"
    sources = hasSources ? [] : nil
    paths = hasPaths ? [] : nil
    origins = hasOrigins ? FaceOriginColumns(hasLandmarks: hasLandmarks) : nil

    let file = try HDF5File.create(partialPath)
    try file.setAttribute("format", .string(ShardFormat.name))
    try file.setAttribute("version", .integer(Int64(ShardFormat.version)))
    if let preprocessing {
      try file.setAttribute(ShardFormat.preprocessing, .string(preprocessing))
    }
    // Shuffling bytes has nothing to gain where elements are bytes.
    images = try file.createDataset(
      "images", of: UInt8.self, shape: [0, height, width, 3],
      layout: HDF5Layout(chunk: [1, height, width, 3], isExtendible: true, deflate: gzip))
    if hasMasks {
      masks = try file.createDataset(
        "masks", of: UInt8.self, shape: [0, height, width],
        layout: HDF5Layout(
          chunk: [1, height, width], isExtendible: true, deflate: gzip ?? 1))
    }
    self.file = consume file
  }

  deinit {
    guard file != nil else { return }
    images = nil
    masks = nil
    file = nil
    unlink(partialPath)
  }

  /// Appends one image.
  ///
  /// - Parameters:
  ///   - image: [height, width, 3] RGB.
  ///   - method: index into `methodNames`; 0 makes the label real, any other fake.
  ///   - source: the video or identity it comes from; required iff the shard has sources.
  ///   - path: the file it comes from; required iff the shard has paths.
  ///   - mask: [height, width], 255 where forged; required iff the shard has masks.
  ///   - origin: where it was found; required iff the shard has origins.
  public func append(
    image: UnsafeBufferPointer<UInt8>, method: Int, source: String? = nil, path: String? = nil,
    mask: UnsafeBufferPointer<UInt8>? = nil, origin: FaceOrigin? = nil
  ) throws {
    guard let images else {
      preconditionFailure("images are appended before the shard is finished")
    }
    precondition(
      image.count == height * width * 3,
      "an image has \(height)x\(width)x3 bytes, not \(image.count)")
    precondition(
      methodNames.indices.contains(method), "method \(method) is not below \(methodNames.count)")
    precondition(
      (source != nil) == (sources != nil) && (path != nil) == (paths != nil)
        && (mask != nil) == (masks != nil) && (origin != nil) == (origins != nil),
      "an image has a source, path, mask and origin exactly if its shard has them")
    try images.extend(to: count + 1)
    try images.writeRows(count..<count + 1, from: image)
    if let masks, let mask {
      precondition(mask.count == height * width, "a mask has \(height)x\(width) bytes")
      try masks.extend(to: count + 1)
      try masks.writeRows(count..<count + 1, from: mask)
    }
    methods.append(UInt8(method))
    if let source { sources!.append(source) }
    if let path { paths!.append(path) }
    if let origin { origins!.append(origin) }
    count += 1
  }

  /// Appends one image, given as arrays. See ``append(image:method:source:path:mask:origin:)``.
  public func append(
    image: [UInt8], method: Int, source: String? = nil, path: String? = nil, mask: [UInt8]? = nil,
    origin: FaceOrigin? = nil
  ) throws {
    try image.withUnsafeBufferPointer { image in
      if let mask {
        try mask.withUnsafeBufferPointer {
          try append(
            image: image, method: method, source: source, path: path, mask: $0, origin: origin)
        }
      } else {
        try append(image: image, method: method, source: source, path: path, origin: origin)
      }
    }
  }

  /// Completes the shard, waits until it is on the disk, and gives it its name.
  public func finish() throws {
    guard let file = file.take() else { preconditionFailure("a shard is finished once") }
    do {
      let column = HDF5Layout(chunk: [max(1, min(count, 1 << 16))])
      try file.write("labels", methods.map { $0 == 0 ? 0 : 1 } as [UInt8], layout: column)
      try file.write("methods", methods, layout: column)
      try file.write("method_names", methodNames)
      if let sources { try file.write("sources", sources) }
      if let paths { try file.write("paths", paths) }
      if let origins { try write(origins, to: file) }
      try file.flush()
      images = nil
      masks = nil
      try file.close()
      try DurableFile.settle(partialPath, as: path)
    } catch {
      images = nil
      masks = nil
      unlink(partialPath)
      throw error
    }
  }

  private func write(_ origins: FaceOriginColumns, to file: borrowing HDF5File) throws {
    func layout(_ row: Int...) -> HDF5Layout {
      HDF5Layout(chunk: [max(1, min(count, 1 << 12))] + row)
    }
    try file.write("frames", origins.frames, layout: layout())
    try file.write("boxes", origins.boxes, shape: [count, 4], layout: layout(4))
    guard origins.hasLandmarks else { return }
    let points = FaceOrigin.landmarkCount
    try file.write(
      "landmarks", origins.landmarks, shape: [count, points, 2], layout: layout(points, 2))
  }
}
