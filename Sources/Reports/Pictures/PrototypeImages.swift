import Checkpoints
import FaceShards
import ForgeryMining
import Foundation
import Images

/// The images that prototypes were made of: the first of each method, in shard order.
public enum PrototypeImages {
  /// What is to be said where prototypes are judged by the very images that they were made of; nil if
  /// there are none of them among the shards, or it can't be told.
  ///
  /// - Throws: what reading the prototypes and the shards throws.
  public static func warning(prototypes path: String, data: [String]) throws -> String? {
    let set = try ShardSet(patterns: data)
    let count = samples(of: try PrototypesFile(reading: path), in: set).count
    guard count > 0 else { return nil }
    return "\(count) of \(set.labels.count { $0 != 0 }) fake images went into the prototypes in "
      + "\(path): the accuracy is higher than it would be on others"
  }

  /// Samples of `set` that went into the prototypes of a file, as far as it can be told: attribution
  /// is not to be judged by them. The shards are compared by their files, however they are named.
  static func samples(of file: PrototypesFile, in set: ShardSet) -> [Int] {
    knownSamples(of: file, in: set) ?? []
  }

  /// The same; nil where it can't be told which ones they are: the file does not say, or its shards
  /// are not there.
  static func knownSamples(of file: PrototypesFile, in set: ShardSet) -> [Int]? {
    guard let count = file.origin.imagesPerMethod,
      let patterns = file.origin.patterns ?? file.origin.data?.components(separatedBy: ", "),
      let origin = try? ShardSet(patterns: patterns)
    else { return nil }
    let (mine, theirs) = (files(of: set), files(of: origin))
    // Methods without a prototype were left out: none of their images went into one.
    let methods = Set(file.prototypes.methods)
    let taken = Set(
      first(count, of: origin)
        .filter { methods.contains(origin.methodNames[Int(origin.methods[$0])]) }
        .map { place(of: $0, in: origin, theirs) })
    return (0..<set.count).filter {
      set.labels[$0] != 0 && taken.contains(place(of: $0, in: set, mine))
    }
  }

  /// An image, by its file and its row there.
  private struct Place: Hashable {
    let file: String
    let row: Int
  }

  private static func place(of sample: Int, in set: ShardSet, _ files: [String]) -> Place {
    let (shard, row) = set.place(of: sample)
    return Place(file: files[shard], row: row)
  }

  private static func files(of set: ShardSet) -> [String] {
    set.shards.map { URL(filePath: $0.path).resolvingSymlinksInPath().path }
  }

  /// The mean faces of the prototypes' methods over images at hand, where a file has none.
  static func meanFaces(
    of prototypes: Prototypes, _ set: ShardSet, crop: Int, perMethod: Int?
  ) throws -> MeanFaces {
    var accumulator = MeanFaceAccumulator(methods: prototypes.methods, height: crop, width: crop)
    let centre = CropGeometry.centre(height: set.height, width: set.width, side: crop)
    var image = [UInt8](repeating: 0, count: set.imageSize)
    for sample in first(perMethod ?? 100, of: set) {
      let name = set.methodNames[Int(set.methods[sample])]
      guard let method = prototypes.methods.firstIndex(of: name) else { continue }
      try image.withUnsafeMutableBufferPointer { try set.readImage(sample, into: $0) }
      image.withUnsafeBufferPointer {
        accumulator.add(
          $0, imageWidth: set.width, top: centre.top, left: centre.left, method: method)
      }
    }
    return accumulator.means()
  }

  /// The first fakes of each method.
  private static func first(_ count: Int, of set: ShardSet) -> [Int] {
    var seen = [Int](repeating: 0, count: set.methodNames.count)
    return (0..<set.count).filter { sample in
      guard set.labels[sample] != 0 else { return false }
      seen[Int(set.methods[sample])] += 1
      return seen[Int(set.methods[sample])] <= count
    }
  }
}
