import Foundation
import Foundations
import Images
import Synchronization

/// Writes shards of real faces and of the fakes that blending each with itself makes, with masks: to look at,
/// to measure localisation on, to take prototypes of.
///
/// A shard with real faces becomes one with twice as many images, each real one and behind it its fake, of the
/// same source. It has what the real one had but masks, which are zeros for it. The fakes depend on the seed
/// and on the numbers of the faces among those of all shards.
public struct SelfBlendedShards: ShardJob {
  public let output: String
  public let fileNames: [String]
  public let splits: [String]

  private let set: ShardSet
  private let seed: UInt64
  /// Places of those shards in the set that have real faces.
  private let origins: [Int]
  /// Numbers of the real faces of a shard.
  private func real(_ shard: Int) -> [Int] {
    (set.starts[shard]..<set.starts[shard + 1]).filter { set.labels[$0] == 0 }
  }

  /// - Parameters:
  ///   - output: the folder for the shards, named by the splits in the names of those that they are made
  ///     of, or "faces" where those name none.
  ///   - set: shards with real faces.
  /// - Throws: ``ShardError`` if they have no real face, or lie in the output folder.
  public init(output: String, of set: ShardSet, seed: UInt64) throws {
    if let path = set.shards.map(\.path).first(where: {
      Self.isSame(DurableFile.folder(of: $0), output)
    }) {
      throw ShardError(
        file: path,
        reason: "fakes are made of it, so they can't go into its folder; choose another --output",
        isInputOutput: true)
    }
    self.output = output
    self.set = set
    self.seed = seed
    var origins: [Int] = []
    var names: [String] = []
    var counts: [String: Int] = [:]
    for (number, shard) in set.shards.enumerated() where shard.methods.contains(0) {
      let name = BytePath(shard.path).components.last.map { String(decoding: $0, as: UTF8.self) }
      let split =
        name.flatMap(ShardOutput.split(of:)).flatMap { Self.isPlain($0) ? $0 : nil } ?? "faces"
      let digits = "\(counts[split, default: 0])"
      names.append(
        "\(split)-\(String(repeating: "0", count: max(0, 5 - digits.utf8.count)))\(digits).h5")
      counts[split, default: 0] += 1
      origins.append(number)
    }
    guard !origins.isEmpty else {
      throw ShardError(
        file: set.shards[0].path,
        reason: "no real face, here or in the other shards: fakes are made of real faces")
    }
    self.origins = origins
    fileNames = names
    splits = counts.keys.sorted()
  }

  /// Whether two names are of one folder.
  private static func isSame(_ one: String, _ other: String) -> Bool {
    var (a, b) = (stat(), stat())
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev
      && a.st_ino == b.st_ino
  }

  /// Whether a split's name is one of letters, digits and signs that no file system minds.
  private static func isPlain(_ name: String) -> Bool {
    name.utf8.allSatisfy { byte in
      UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || 0x30...0x39 ~= byte
        || "._-+".utf8.contains(byte)
    } && !name.hasPrefix(".")
  }

  public var imageCount: Int { 2 * set.methods.count { $0 == 0 } }

  public func write(
    part: Int, of parts: Int, threads: Int, progress: (_ done: Int, _ total: Int) -> Void
  ) throws {
    precondition(threads > 0, "at least one thread makes fakes")
    let mine = origins.indices.filter { $0 % parts == part }
    let total = 2 * mine.reduce(0) { $0 + real(origins[$1]).count }
    var done = 0
    for place in mine {
      try write(fileNames[place], of: origins[place], threads: threads) { made in
        done += made
        progress(done, total)
      }
    }
  }

  /// Makes one shard.
  private func write(
    _ name: String, of origin: Int, threads: Int, progress: (_ made: Int) -> Void
  ) throws {
    let shard = set.shards[origin]
    let columns = try FaceColumns(shard)
    let writer = try ShardWriter(
      path: ShardOutput.staging(of: output) + "/" + name, height: set.height, width: set.width,
      methodNames: [ShardFormat.real, ShardFormat.selfBlended], hasSources: shard.hasSources,
      hasPaths: shard.hasPaths, hasMasks: true, hasOrigins: columns.hasOrigins,
      hasLandmarks: columns.hasOrigins && shard.hasLandmarks, preprocessing: shard.preprocessing)
    let real = real(origin)
    let blank = [UInt8](repeating: 0, count: set.height * set.width)
    let readers = ImageReaders(count: threads, imageSize: set.imageSize)
    // Enough at a time that no thread waits long for the last one.
    let step = 16 * threads
    for start in stride(from: 0, to: real.count, by: step) {
      let samples = real[start..<min(start + step, real.count)]
      let pictures = try blended(Array(samples), by: readers)
      for (sample, (face, fake, mask)) in zip(samples, pictures) {
        let row = sample - set.starts[origin]
        for (method, image, mask) in [(0, face, blank), (1, fake.pixels, mask)] {
          try writer.append(
            image: image, method: method, source: columns.sources?[row],
            path: columns.paths?[row], mask: mask, origin: try columns.origin(row))
        }
      }
      progress(2 * samples.count)
    }
    try writer.finish()
    shard.close()
  }

  /// Faces, their fakes, and where those are forged, in the order of the samples.
  private func blended(
    _ samples: [Int], by readers: ImageReaders
  ) throws -> [(face: [UInt8], fake: RGBImage, mask: [UInt8])] {
    let blender = SelfBlender(set: set, seed: seed, share: 1)
    let made = Mutex(
      [(face: [UInt8], fake: RGBImage, mask: [UInt8])?](repeating: nil, count: samples.count))
    try readers.forEach(samples.count) { turn, image in
      try image.withUnsafeMutableBufferPointer { try set.readImage(samples[turn], into: $0) }
      let draw = SampleDraw(sample: samples[turn], visit: 0, isSelfBlended: true)
      let fake = try blender.fake(
        of: draw, RGBImage(width: set.width, height: set.height, pixels: image))
      let face = image
      made.withLock { $0[turn] = (face, fake.picture, fake.mask) }
    }
    return made.withLock { $0.map { $0! } }
  }
}

/// What a shard tells of its images beside pixels and methods.
private struct FaceColumns {
  let sources: [String]?
  let paths: [String]?
  private let frames: [Int32]?
  private let boxes: [Float]?
  private let shard: Shard

  init(_ shard: Shard) throws {
    self.shard = shard
    sources = try shard.readSources()
    paths = try shard.readPaths()
    frames = try shard.readFrames()
    boxes = try shard.readBoxes()
  }

  /// Whether it tells where the faces were found.
  var hasOrigins: Bool { frames != nil && boxes != nil }

  func origin(_ row: Int) throws -> FaceOrigin? {
    guard let frames, let boxes else { return nil }
    return FaceOrigin(
      frame: frames[row], box: SIMD4(boxes[4 * row..<4 * row + 4]),
      landmarks: try shard.readLandmarks(row))
  }
}
