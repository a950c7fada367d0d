import CFFmpeg
import Testing

@testable import Faces

@Suite struct FramePlanTests {
  private static func packet(
    _ time: Int64, isEntry: Bool = false, isShown: Bool = true
  ) -> rfm_video_packet {
    rfm_video_packet(
      time: time, decode_time: time, is_shown: isShown ? 1 : 0, is_entry: isEntry ? 1 : 0)
  }

  @Test func framesStandInTheOrderOfTheirTimes() {
    // I0 P3 B1 B2 | I6 B4 B5 (which need what is before I6) P7
    let plan = FramePlan([
      Self.packet(0, isEntry: true), Self.packet(3), Self.packet(1), Self.packet(2),
      Self.packet(6, isEntry: true), Self.packet(4), Self.packet(5), Self.packet(7),
    ])
    #expect(plan.frameCount == 8)
    #expect(plan.times == Array(0...7))
    #expect(plan.entries == [.init(packet: 0, frame: 0), .init(packet: 4, frame: 6)])
    #expect(plan.jump(to: 5, from: 1) == nil)
    #expect(plan.jump(to: 6, from: 1) == .init(packet: 4, frame: 6))
    #expect(plan.jump(to: 7, from: 6) == nil)
    #expect(plan.cost(of: [0, 7]) == 3)
    #expect(plan.cost(of: [0, 5]) == 6)
  }

  @Test func whatIsNotShownIsNoFrame() {
    let plan = FramePlan([
      Self.packet(-2, isShown: false), Self.packet(-1, isShown: false), Self.packet(0),
      Self.packet(1, isEntry: true),
    ])
    #expect(plan.frameCount == 2)
    #expect(plan.times == [0, 1])
    #expect(plan.entries == [.init(packet: 3, frame: 1)])
  }

  @Test func anEntryBehindLaterFramesIsNone() {
    // What is shown at 9 was sent before the entry: decoding from there would miss it.
    let plan = FramePlan([
      Self.packet(0, isEntry: true), Self.packet(9), Self.packet(5, isEntry: true), Self.packet(6),
    ])
    #expect(plan.entries == [.init(packet: 0, frame: 0)])
  }

  @Test(arguments: [[0, 1, 1, 2], [0, RFM_VIDEO_NO_TIME, 2]])
  func timesThatDontTellFramesApartAreNotUsed(times: [Int64]) {
    let plan = FramePlan(times.map { Self.packet($0, isEntry: true) })
    #expect(plan.frameCount == times.count)
    #expect(plan.times == nil && plan.entries.isEmpty)
  }

  @Test func nothingIsPlannedOfNothing() {
    let plan = FramePlan([])
    #expect(plan.frameCount == 0 && !plan.isTimed)
    #expect(plan.cost(of: []) == 0)
  }
}
