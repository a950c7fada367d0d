import Foundation
import Images

@testable import Faces

/// What Tests/Oracle/faces.py wrote: scenes, and what dlib finds in them.
struct FaceScenes: Decodable {
  struct Face: Decodable {
    let box: [Float]
    let score: Float
    let small: [[Float]]?
    let published: [[Float]]?
  }

  struct Scene: Decodable {
    let file: String
    let rgb: [Face]
    let grey: [Face]
    /// Faces in colour whose crops are in the picture of crops, in order.
    let crops: [Int]?
  }

  let dlib: String
  let crop: Int
  let scenes: [Scene]

  static let golden = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
  /// Another folder of the script's, with more scenes.
  static let other = ProcessInfo.processInfo.environment["RFM_FACE_SCENES"]
  static let folder = other.map { URL(filePath: $0) } ?? golden

  static func load() throws -> FaceScenes {
    try JSONDecoder().decode(
      FaceScenes.self, from: Data(contentsOf: folder.appending(path: "faces.json")))
  }

  static func image(_ name: String, in folder: URL = folder) throws -> RGBImage {
    try ImageDecoder.decode(path: folder.appending(path: name).path)
  }

  /// The model of a few trees.
  static let smallModel = Result {
    try LandmarkModel(path: golden.appending(path: "landmarks.dat").path)
  }
}

extension FaceBox {
  init(_ corners: [Float], score: Float = 0) {
    self.init(
      left: corners[0], top: corners[1], right: corners[2], bottom: corners[3], score: score)
  }

  /// The largest difference of a corner.
  func distance(to other: FaceBox) -> Float {
    zip(corners, other.corners).map { abs($0 - $1) }.max()!
  }
}

/// Mean difference of grey levels.
func meanDifference(_ left: [UInt8], _ right: [UInt8]) -> Double {
  precondition(left.count == right.count)
  let sum = zip(left, right).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
  return Double(sum) / Double(left.count)
}
