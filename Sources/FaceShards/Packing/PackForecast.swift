import Foundation
import Foundations

/// What a plan will take, before it begins.
struct PackForecast: Equatable {
  let images: Int
  let videos: Int
  /// The most faces that will be stored; frames without a face make it fewer.
  let faces: Int
  /// The most bytes that the shards take, without compression.
  let bytes: Int
  /// Bytes that are free where they go; `nil` if the system doesn't say.
  let free: Int?
  let isCompressed: Bool

  init(_ contents: PackContents, _ recipe: PackRecipe) {
    let settings = recipe.settings
    (images, videos) = (contents.images, contents.videos)
    faces = images + videos * settings.framesPerVideo
    bytes = faces * recipe.row.bytes
    isCompressed = settings.gzip != nil
    var status = statvfs()
    free =
      statvfs(settings.output, &status) == 0
      ? Int(clamping: UInt64(status.f_bavail) &* UInt64(status.f_frsize))
      : nil
  }

  var line: String {
    let files = [(images, "image"), (videos, "video")].filter { $0.0 > 0 }
      .map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }.joined(separator: " and ")
    let most = videos > 0 ? "at most " : ""
    var line = "\(files): \(most)\(faces) faces, \(isCompressed || videos > 0 ? "at most " : "")"
    line += "\(Self.size(bytes)) of shards"
    guard let free else { return line }
    line += ", \(Self.size(free)) free"
    if bytes > free {
      line += ", which \(isCompressed || videos > 0 ? "may not be" : "is not") enough"
    }
    return line
  }

  /// As in "3.1 GiB".
  static func size(_ bytes: Int) -> String {
    var (value, unit) = (Double(bytes), 0)
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024, unit + 1 < units.count { (value, unit) = (value / 1024, unit + 1) }
    return unit == 0 ? "\(bytes) bytes" : "\(significant(value)) \(units[unit])"
  }
}
