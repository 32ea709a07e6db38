import os, pathlib, shutil, sys, uuid, pytest
sys.path.insert(0, os.path.dirname(__file__))
@pytest.fixture
def folder(request):
    p = pathlib.Path(os.environ["WROUGHT_REAL_CACHE"]) / "work" / (request.node.name + "-" + uuid.uuid4().hex[:6])
    p.mkdir(parents=True); return p
