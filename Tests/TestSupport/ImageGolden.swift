import Foundation

/// What Tests/Oracle/images.py wrote.
public enum ImageGolden {
  public struct Decoded: Decodable {
    public let file: String
    public let width: Int
    public let height: Int
    public let pixels: Data
  }

  public struct Resized: Decodable {
    public let source: [Int]
    public let width: Int
    public let height: Int
    public let pixels: Data
  }

  public static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "ImagesTests/Golden")

  public static func load<Value: Decodable>(_ name: String) throws -> [Value] {
    try JSONDecoder().decode(
      [Value].self, from: Data(contentsOf: folder.appendingPathComponent(name)))
  }

  public static func bytes(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appendingPathComponent(name)))
  }
}
