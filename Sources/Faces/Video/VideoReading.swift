/// What reading a video gave.
public struct VideoReading<Result> {
  /// Indices of the chosen frames, and what was made of each.
  public let indices: [Int]
  public let results: [Result]
  /// How many frames decode.
  public let frameCount: Int
  /// How many there should be, as far as the file says: more where a part is missing.
  public let expectedCount: Int
  /// Whether frames between the chosen ones were skipped undecoded.
  public let isSkipping: Bool
  /// What the user should know of this video, a sentence each, without its name: a damaged tail, HDR
  /// brought to SDR, several streams.
  public let notes: [String]
}

extension VideoReading: Sendable where Result: Sendable {}
