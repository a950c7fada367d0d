import Foundation
import Foundations
import Images
import Testing

@testable import Faces

/// What Tests/Oracle/video_frames.py wrote: videos, and their frames as PyAV has them.
struct VideoGolden: Decodable, CustomTestStringConvertible {
  let file: String
  let width: Int
  let height: Int
  /// Seconds since the first frame; nil where PyAV has no time.
  let times: [Double?]
  /// The frame that is there whole, as a PNG.
  let middle: Int
  let picture: String
  /// Of each frame the means of its blocks of 8×8 pixels, [height / 8, width / 8, 3].
  let blocks: [Data]

  var testDescription: String { file }

  static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Golden/Videos")

  static let all: [VideoGolden] = {
    do {
      return try JSONDecoder().decode(
        [VideoGolden].self, from: Data(contentsOf: folder.appending(path: "frames.json")))
    } catch {
      fatalError("the golden videos can't be read: \(error)")
    }
  }()

  static func path(_ file: String) -> BytePath { BytePath(folder.appending(path: file).path) }

  static func bytes(_ file: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appending(path: file)))
  }

  var path: BytePath { Self.path(file) }

  func middleFrame() throws -> RGBImage {
    try ImageDecoder.decode(path: Self.folder.appending(path: picture).path)
  }

  /// The same means of a picture.
  static func blockMeans(_ image: RGBImage) -> [Double] {
    var means: [Double] = []
    for top in stride(from: 0, through: image.height - 8, by: 8) {
      for left in stride(from: 0, through: image.width - 8, by: 8) {
        for channel in 0..<3 {
          var sum = 0
          for y in top..<top + 8 {
            for x in left..<left + 8 {
              sum += Int(image.pixels[(y * image.width + x) * 3 + channel])
            }
          }
          means.append(Double(sum) / 64)
        }
      }
    }
    return means
  }

  /// The mean difference of a frame's block means from PyAV's; nil for another shape.
  func difference(of image: RGBImage, at frame: Int) -> Double? {
    let means = Self.blockMeans(image)
    guard means.count == blocks[frame].count else { return nil }
    return zip(means, blocks[frame]).map { abs($0 - Double($1)) }.reduce(0, +)
      / Double(max(1, means.count))
  }

  /// The mean difference of two pictures' values; infinite for another shape.
  static func difference(_ left: RGBImage, _ right: RGBImage) -> Double {
    guard left.width == right.width, left.height == right.height else { return .infinity }
    let sum = zip(left.pixels, right.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    return Double(sum) / Double(left.pixels.count)
  }
}
