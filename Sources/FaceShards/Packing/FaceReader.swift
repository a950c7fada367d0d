import Foundations
import Images

/// Turns files into the faces that are stored. Every thread has its own.
final class FaceReader {
  private let settings: PackSettings
  private let row: PackPart.Row

  init(_ settings: PackSettings, row: PackPart.Row) throws {
    self.settings = settings
    self.row = row
  }

  /// Reads a file; `store` gets its faces.
  ///
  /// - Parameter isStopped: asked between frames; the result means nothing after it has answered yes.
  /// - Throws: what `store` throws. What is wrong with the file is in the result.
  func read(
    _ path: BytePath, _ item: PackPlan.Item, number: Int, isStopped: () -> Bool,
    store: (PackedFace) throws -> Void
  ) throws -> PackedItem {
    // Before it is read: a change while it is read must show.
    var result = PackedItem(item: number, identity: FileIdentity(of: path))
    do {
      let image = try ImageDecoder.decode(path: path).centreSquare()
      let face = ImageResize.bilinear(image, width: settings.size, height: settings.size)
      try store(PackedFace(pixels: face.pixels))
      result.faces = 1
    } catch let error as ImageError {
      result.skipped = error.detail
    }
    return result
  }
}
