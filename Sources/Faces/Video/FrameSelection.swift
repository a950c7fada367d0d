/// Chosen frames among those that decode whole, which are some of all that a decoder gives.
struct FrameSelection {
  private let indices: [Int]
  /// The numbers of the frames that are whole among all, ascending; nil if all are.
  private let sound: [Int]?

  init(_ indices: [Int], among sound: [Int]? = nil) {
    self.indices = indices
    self.sound = sound
  }

  /// The index of the frame that is `number` among all, if it is the chosen one that comes after
  /// `next` others.
  func index(of number: Int, next: Int) -> Int? {
    guard next < indices.count else { return nil }
    let index = indices[next]
    return (sound.map { $0[index] } ?? index) == number ? index : nil
  }
}
