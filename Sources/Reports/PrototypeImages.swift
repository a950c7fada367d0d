import FaceShards
import ForgeryMining
import Foundation
import Training

/// The images that prototypes were made of: the first of each method, in shard order.
enum PrototypeImages {
  /// Samples of `set` that went into the prototypes of a file: attribution is not to be judged by
  /// them. The shards are compared by their files, however they are named.
  static func samples(of file: PrototypesFile, in set: ShardSet) -> [Int] {
    guard let data = file.origin.data, let count = file.origin.imagesPerMethod,
      let origin = try? ShardSet(patterns: data.components(separatedBy: ", "))
    else { return [] }
    let (mine, theirs) = (files(of: set), files(of: origin))
    let taken = Set(first(count, of: origin).map { place(of: $0, in: origin, theirs) })
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
