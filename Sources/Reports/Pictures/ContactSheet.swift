import FaceShards
import Images

/// A grid of the images of some shards, to look at what was packed: a method's images in rows of their own,
/// the real ones first.
public struct ContactSheet {
  /// Images in a row.
  public static let columns = 12
  /// Rows of a method at most.
  static let rowsPerMethod = 4
  /// The longest side of an image on the sheet, in pixels.
  static let longestSide = 128

  public let image: RGBImage
  /// What is in the rows, a line a method: "rows 1 to 4: real, 48 of 310 images".
  public let lines: [String]

  /// Takes images at even distances out of all of the shards.
  ///
  /// - Parameter paths: shards of one size of images.
  /// - Throws: `ShardError`, `HDF5Error`.
  public init(of paths: [String]) throws {
    var names: [String] = []
    var places: [String: [(shard: Int, row: Int)]] = [:]
    let shards = try paths.map { try Shard(reading: $0) }
    for (number, shard) in shards.enumerated() {
      guard shard.height == shards[0].height, shard.width == shards[0].width else {
        throw ShardError(
          file: shard.path,
          reason: "its images are \(shard.height)x\(shard.width) pixels, those of \(shards[0].path)"
            + " \(shards[0].height)x\(shards[0].width): one sheet shows images of one size")
      }
      for name in shard.methodNames where places[name] == nil {
        names.append(name)
        places[name] = []
      }
      for row in 0..<shard.count {
        places[shard.methodNames[Int(shard.methods[row])]]!.append((number, row))
      }
    }
    names.removeAll { places[$0]!.isEmpty }
    guard let first = shards.first, !names.isEmpty else {
      throw ShardError(file: paths.first ?? "", reason: "it has no images to show")
    }
    let scale = min(1, Double(Self.longestSide) / Double(max(first.height, first.width)))
    let width = max(1, Int((Double(first.width) * scale).rounded()))
    let height = max(1, Int((Double(first.height) * scale).rounded()))
    let paper = RGBImage(
      width: width, height: height,
      pixels: (0..<width * height * 3).map { PictureGrid.paper[$0 % 3] })
    var pictures: [RGBImage] = []
    var lines: [String] = []
    for name in names {
      let all = places[name]!
      let count = min(all.count, Self.columns * Self.rowsPerMethod)
      let row = pictures.count / Self.columns + 1
      for index in 0..<count {
        let place = all[count == 1 ? 0 : index * (all.count - 1) / (count - 1)]
        let shard = shards[place.shard]
        var pixels = [UInt8](repeating: 0, count: shard.imageSize)
        try pixels.withUnsafeMutableBufferPointer { try shard.readImage(place.row, into: $0) }
        let picture = RGBImage(width: shard.width, height: shard.height, pixels: pixels)
        pictures.append(ImageResize.bilinear(picture, width: width, height: height))
      }
      while pictures.count % Self.columns != 0 { pictures.append(paper) }
      let last = pictures.count / Self.columns
      lines.append(
        (row == last ? "row \(row)" : "rows \(row) to \(last)") + ": \(name), \(count) of"
          + " \(all.count) images")
    }
    image = PictureGrid.render(pictures, columns: Self.columns, gap: 4)
    self.lines = lines
  }
}
