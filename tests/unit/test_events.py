"""Events of listeners print as what they tell."""

from __future__ import annotations

from dstreams._run.progress import BatchInfo, Event, InputInfo, OutputInfo, Time


def test_a_batch() -> None:
    outputs = {1: OutputInfo(Time(2000), 1, "pprint", "pprint at app.py:9", 2003)}
    info = BatchInfo(Time(2000), 2001, {0: InputInfo(0, 5, "file:/in/a")}, outputs, 2002)
    assert str(Event("onBatchStarted", "batchInfo", info)) == (
        "StreamingListenerBatchStarted(BatchInfo(batchTime=2000 ms, submissionTime=2001, streamIdToInputInfo={0: "
        "InputInfo(inputStreamId=0, numRecords=5, metadataDescription='file:/in/a')}, outputOperationInfos={1: "
        "OutputInfo(batchTime=2000 ms, id=1, name='pprint', description='pprint at app.py:9', startTime=2003, "
        "endTime=-1, failureReason=None)}, processingStartTime=2002, processingEndTime=-1))"
    )


def test_the_start() -> None:
    assert str(Event("onStreamingStarted", "time", 17)) == "StreamingListenerStreamingStarted(17)"


def test_what_listeners_of_the_field_call() -> None:
    """On the old engine all of these are objects of the JVM."""
    info = BatchInfo(Time(2000), 2001, {0: InputInfo(0, 5)}, {1: OutputInfo(Time(2000), 1, "pprint", "")})
    event = Event("onBatchCompleted", "batchInfo", info)
    assert event.toString() == str(event) and event.batchInfo().toString() == str(info)
    assert info.batchTime().toString() == "2000 ms"
    assert "numRecords=5" in info.streamIdToInputInfo()[0].toString()
    assert "name='pprint'" in info.outputOperationInfos()[1].toString()
