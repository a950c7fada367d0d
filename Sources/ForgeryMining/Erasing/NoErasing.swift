/// Leaves every image as it is: what the other methods are compared with.
public struct NoErasing: ErasingMethod {
  public static let name = "none"
  public static let summary = "nothing"
  public static let manner = "without erasing"

  public let probability = 0.0
  public let guide = ErasingGuide.nothing

  public init(_ settings: ErasingSettings, crop: Int) {}

  public func erase(_ image: ErasedImage, streams: inout ErasingStreams) {}
}
